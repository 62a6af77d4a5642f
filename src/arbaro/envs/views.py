# SPDX-License-Identifier: Apache-2.0
"""Views: clouds.yaml files of our own (0600) with one cloud in them, which `OS_CLIENT_CONFIG_FILE` names in a shell.

A program that uses openstacksdk (Ansible, scripts) ignores OS_REGION_NAME and OS_PROJECT_NAME when OS_CLOUD is set: it
takes the first region and the project of the entry. So what was chosen is written into the entry. Secrets of
secure.yaml are not copied: `OS_CLIENT_SECURE_FILE` still names the person's own file.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arbaro import cloudsfile, cloudstext
from arbaro.envs import files
from arbaro.envs.environment import Environment

if TYPE_CHECKING:
    from arbaro.envs.sdk import Clouds

PLAIN = "plain"


def view_file(environment: Environment, mode: str, project: str = "") -> Path:
    """Where the view of an environment, mode and project is."""
    name = files.slug(environment.name) + (f"@{files.slug(project)}" if project else "")
    return files.views_dir() / f"{name}.{mode}.yaml"


def view_text(cloud: str, entry: Mapping[str, Any], *, until: int = 0, mode: str = PLAIN, credential: str = "-") -> str:
    """A clouds.yaml with this one cloud; its first line tells shells when its credential ends."""
    text = cloudstext.written({"clouds": {cloud: entry}, "cache": {"auth": True}})
    return f"# arbaro-view 1 {until} {mode} {credential}\n{text}"


def write_regions(clouds: "Clouds", environments: Iterable[Environment]) -> None:
    """Write the views of all environments that are one of several regions; those that are gone go."""
    wanted = {view_file(one, PLAIN): one for one in environments if one.os_region and not one.fault}
    for path in files.views_dir().glob(f"*.{PLAIN}.yaml"):
        if path not in wanted and "@" not in path.name:
            path.unlink(missing_ok=True)
    for path, environment in wanted.items():
        _write(path, view_text(environment.cloud, clouds.entry(environment, region_apart=True)))


def write_plain(environment: Environment, project: str) -> Path:
    """Write the view of one region or project, with the credentials as the files have them."""
    from arbaro.envs import sdk
    from arbaro.openstack import in_project

    entry = in_project(sdk.Clouds(secrets=False).entry(environment, region_apart=True), project)
    path = view_file(environment, PLAIN, project)
    _write(path, view_text(environment.cloud, entry))
    return path


def _write(path: Path, text: str) -> None:
    if cloudsfile.text_of(path) != text:
        cloudsfile.replace(path, text, private=True, keep_old=False)

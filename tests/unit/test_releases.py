# SPDX-License-Identifier: Apache-2.0
"""Releases' files: their form, what is wrong told with its place, and that all the roles ask for is there."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from arbaro.errors import ArbaroError
from arbaro.releases import list_releases, load_release, read_release
from arbaro.settings import files_dir

ANSIBLE = files_dir() / "ansible"
ZED: dict[str, Any] = yaml.safe_load((ANSIBLE / "releases/zed.yml").read_text())["release"]


def change(tmp_path: Path, **changed: object) -> Path:
    """Write zed's file with something changed; None takes it out."""
    data = {key: value for key, value in (ZED | changed).items() if value is not None}
    file = tmp_path / "zed.yml"
    file.write_text(yaml.safe_dump({"release": data}))
    return file


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"suite": None}, "release.suite"),
        ({"sweet": "bookworm"}, "release.sweet"),
        ({"packages": {"nova": "nova-api"}}, "release.packages.nova"),
        ({"units": {**ZED["units"], "comptue": []}}, "release.units.comptue"),
        ({"units": {key: value for key, value in ZED["units"].items() if key != "tor"}}, "release.units.tor"),
        ({"drivers": {"l2isolate": {"units": []}}}, "release.drivers.l2isolate.agents"),
        ({"commands": {}}, "release.commands.keystone"),
        ({"policies": {"nova": ["role:admin"]}}, "release.policies.nova"),
        ({"name": "victoria"}, "release.name"),
        ({"patches": {"nova_compute": ["0099-nowhere.patch"]}}, "release.patches"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_the_file(tmp_path: Path, changed: dict[str, object], place: str) -> None:
    file = change(tmp_path, **changed)
    with pytest.raises(ArbaroError) as error:
        read_release(file)
    assert str(file) in error.value.what
    assert place in error.value.why


def test_a_driver_that_the_release_has_not_is_refused_with_those_that_it_has(tmp_path: Path) -> None:
    release = read_release(change(tmp_path, drivers={"l2isolate": ZED["drivers"]["l2isolate"]}))
    with pytest.raises(ArbaroError) as error:
        release.driver("linuxbridge")
    assert "linuxbridge" in error.value.what
    assert "l2isolate" in error.value.why
    assert error.value.hint == "arbaro up --release zed --network l2isolate"


@pytest.mark.parametrize("name", list_releases())
def test_a_release_has_all_that_the_roles_ask_for(name: str) -> None:
    release = yaml.safe_load((ANSIBLE / "releases" / f"{name}.yml").read_text())["release"]
    load_release(name)
    asked = re.compile(r"\brelease((?:\.\w+)+)")
    for file in [*ANSIBLE.glob("roles/**/*.yml"), *ANSIBLE.glob("roles/**/*.j2")]:
        for path in asked.findall(file.read_text()):
            found: Any = release
            for key in path.strip(".").split("."):
                assert key in found, f"{file.relative_to(ANSIBLE)} asks for release{path}"
                found = found[key]


@pytest.mark.parametrize("patch", sorted((files_dir() / "patches").glob("*/*.patch")), ids=lambda patch: patch.name)
def test_a_patch_says_where_it_is_from_and_which_release_needs_it_no_more(patch: Path) -> None:
    head = patch.read_text().split("--- a/")[0]
    fields = dict(re.findall(r"^([A-Z][\w-]+): (.+)$", head, re.MULTILINE))
    assert fields.keys() >= {"Description", "Origin", "Applied-Upstream", "Last-Update"}
    assert fields["Origin"] == "vendor" or "https://" in fields["Origin"]
    assert patch.name in [name for names in load_release(patch.parent.name).patches.values() for name in names]

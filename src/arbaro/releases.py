# SPDX-License-Identifier: Apache-2.0
"""OpenStack releases are data: one file each in ansible/releases/, read by Ansible and by us."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from arbaro.errors import ArbaroError
from arbaro.settings import files_dir


@dataclass(frozen=True)
class Release:
    """A release: its name (zed), the Debian suite that ships it, and all that Ansible's roles read."""

    name: str
    suite: str
    data: Mapping[str, Any]


def list_releases() -> list[str]:
    """Name the releases that there is data for."""
    return sorted(path.stem for path in _directory().glob("*.yml"))


def load_release(name: str) -> Release:
    """Read one release's data. Raises ArbaroError that lists the known ones."""
    if name not in list_releases():
        raise ArbaroError(
            f"There is no release {name!r}.",
            why=f"Known: {', '.join(list_releases())}.",
            hint="arbaro up --release zed",
        )
    data = yaml.safe_load((_directory() / f"{name}.yml").read_text())["release"]
    return Release(name, data["suite"], data)


def _directory() -> Path:
    return files_dir() / "ansible" / "releases"

# SPDX-License-Identifier: Apache-2.0
"""OpenStack releases are data: one file each in ansible/releases/, read by Ansible and by us."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from functools import cache
from pathlib import Path

from pydantic.dataclasses import dataclass

from arbaro.datafiles import CLOSED, read_data
from arbaro.errors import ArbaroError
from arbaro.settings import files_dir

#: The one that must work.
DEFAULT_RELEASE = "zed"
Words = tuple[str, ...]


@dataclass(frozen=True, config=CLOSED)
class Units:
    """What systemd must run on a host of each group."""

    controller: Words
    compute: Words
    tor: Words
    machines: Words
    rack: Words


@dataclass(frozen=True, config=CLOSED)
class Driver:
    """A network driver as a release has it: what systemd runs for it on computes, and what reports to neutron."""

    units: Words
    agents: Words


@dataclass(frozen=True, config=CLOSED)
class Commands:
    """Where Debian puts the programs that our units name."""

    keystone: str
    placement: str
    nova_api: str
    nova_metadata: str
    nova_serialproxy: str
    neutron_server: str


@dataclass(frozen=True, config=CLOSED)
class Release:
    """A release of OpenStack, as the suite of Debian that it is in ships it; the file itself explains the fields."""

    name: str
    suite: str
    packages: Mapping[str, Words]
    units: Units
    drivers: Mapping[str, Driver]
    commands: Commands
    container_flags: Words = ()
    policies: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    patches: Mapping[str, Words] = field(default_factory=dict)

    def driver(self, name: str) -> Driver:
        """One of its network drivers. Raises ArbaroError that lists those it has."""
        if name not in self.drivers:
            raise ArbaroError(
                f"The release {self.name} has no network driver {name!r}.",
                why=f"It has: {', '.join(self.drivers)}.",
                hint=f"arbaro up --release {self.name} --network {next(iter(self.drivers))}",
            )
        return self.drivers[name]


def list_releases() -> list[str]:
    """Name the releases that there is data for."""
    return sorted(path.stem for path in _directory().glob("*.yml"))


@cache
def load_release(name: str) -> Release:
    """Read one release's data. Raises ArbaroError that lists the known ones, or names what is wrong in the file."""
    if name not in list_releases():
        raise ArbaroError(
            f"There is no release {name!r}.",
            why=f"Known: {', '.join(list_releases())}.",
            hint=f"arbaro up --release {DEFAULT_RELEASE}",
        )
    return read_release(_directory() / f"{name}.yml")


def read_release(path: Path) -> Release:
    """Read a release's file. Raises ArbaroError that names what is wrong in it."""
    release = read_data(path, "release", Release)
    wrong: Sequence[str] = (
        () if release.name == path.stem else [f"release.name: it is {release.name}, the file's is {path.stem}"]
    )
    wrong = [*wrong, *(f"release.patches: there is no {patch}" for patch in _missing_patches(release))]
    if wrong:
        raise ArbaroError(f"{path} cannot be read as it is.", why="\n".join(wrong), hint=f"Correct {path}.")
    return release


def _missing_patches(release: Release) -> list[Path]:
    queue = files_dir() / "patches" / release.name
    return [queue / name for names in release.patches.values() for name in names if not (queue / name).is_file()]


def _directory() -> Path:
    return files_dir() / "ansible" / "releases"

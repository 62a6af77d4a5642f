# SPDX-License-Identifier: Apache-2.0
"""Guest images: `tiny` boots in seconds under TCG, `debian-12` is a true Debian with cloud-init (images/guests/)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arbaro import shell
from arbaro.cluster import packages
from arbaro.cluster.buildkey import apt_parts
from arbaro.cluster.built import Built, write_apt_files
from arbaro.errors import ArbaroError, CommandError
from arbaro.settings import cache_dir, files_dir
from arbaro.steps import Note

#: Debian package that only this guest's recipe needs.
EXTRA_PACKAGES: Mapping[str, tuple[str, ...]] = {
    "tiny": (),
    "debian-12": (
        "dosfstools",
        "e2fsprogs",
        "fdisk",
        "mtools",
        "qemu-utils",
        "syslinux",
        "syslinux-common",
        "systemd-boot-efi",
    ),
}
SUITE = "bookworm"


@dataclass(frozen=True)
class Guest:
    """A guest image recipe and what it has built: `directory` holds the files when it is complete."""

    name: str

    @property
    def recipe(self) -> Path:
        """The directory with the recipe."""
        return files_dir() / "images/guests" / self.name

    @property
    def built(self) -> Built:
        """What the recipe builds: a directory of files."""
        title, expected = f"Build the guest image {self.name}", {"tiny": 25}.get(self.name, 150)
        return Built(title, guests_dir(), self.name, [self.recipe], apt_parts(SUITE), self._make, expected)

    @property
    def directory(self) -> Path:
        """Where the built files are, under a key of all that goes in."""
        return self.built.path

    def _make(self, tree: Path, out: Path, note: Note) -> None:
        packages.install(EXTRA_PACKAGES[self.name], note)
        sources, _ = write_apt_files(out.parent, SUITE)
        build = tree / self.recipe.relative_to(files_dir()) / "build"
        out.mkdir()
        try:
            shell.run([build, out, sources, SUITE], timeout=1200, on_line=note)
        except CommandError as error:
            error.hint = f"Run it again: arbaro images build {self.name}"
            raise


def guest(name: str) -> Guest:
    """Find a guest recipe by name. Raises ArbaroError that lists the known ones."""
    if name not in EXTRA_PACKAGES:
        raise ArbaroError(f"There is no guest image {name!r}.", why=f"Known: {', '.join(EXTRA_PACKAGES)}.")
    return Guest(name)


def list_guests() -> list[dict[str, Any]]:
    """List the guest images: built or not, size."""
    return [
        {
            "name": name,
            "built": one.directory.exists(),
            "size_mib": sum(file.stat().st_size for file in one.directory.rglob("*")) // 2**20
            if one.directory.exists()
            else 0,
        }
        for name, one in ((name, Guest(name)) for name in EXTRA_PACKAGES)
    ]


def guests_dir() -> Path:
    """Where built guests are."""
    return cache_dir() / "guests"

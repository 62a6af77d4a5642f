# SPDX-License-Identifier: Apache-2.0
"""Guest images: `tiny` boots in seconds under TCG, `debian-12` is a true Debian with cloud-init (images/guests/)."""

import hashlib
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arbaro import shell
from arbaro.cluster import aptsources, packages
from arbaro.errors import ArbaroError, CommandError
from arbaro.settings import cache_dir, files_dir
from arbaro.steps import Note, Step

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
    def directory(self) -> Path:
        """Where the built files are, under a key of the recipe."""
        content = hashlib.sha256()
        for file in sorted(path for path in self.recipe.rglob("*") if path.is_file()):
            content.update(file.relative_to(self.recipe).as_posix().encode() + b"\0" + file.read_bytes())
        return cache_dir() / "guests" / f"{self.name}-{content.hexdigest()[:12]}"

    def step(self) -> Step:
        """How it is built, where it is missing."""
        return Step(
            f"Build the guest image {self.name}",
            lambda: not self.directory.exists(),
            self._build,
            {"tiny": 25}.get(self.name, 150),
        )

    def _build(self, note: Note) -> None:
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.directory.parent, prefix=".new-") as scratch:
            sources = Path(scratch) / "sources.list"
            sources.write_text("".join(f"{source}\n" for source in aptsources.machine_sources(SUITE)))
            out = Path(scratch) / "out"
            out.mkdir()
            try:
                packages.install(EXTRA_PACKAGES[self.name], note)
                shell.run([self.recipe / "build", out, sources, SUITE], timeout=1200, on_line=note)
            except CommandError as error:
                error.what = f"The guest image {self.name} could not be built."
                error.hint = f"Run it again: arbaro images build {self.name}"
                raise
            # Only a complete build gets the final name.
            out.rename(self.directory)


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


def prune_guests(*, dry_run: bool = False) -> list[str]:
    """Remove builds of recipes that have changed since, and what killed builds left; returns their names.

    The caller keeps builds from running meanwhile: a running one's scratch looks just like a killed one's.
    """
    current = {Guest(name).directory for name in EXTRA_PACKAGES}
    root = cache_dir() / "guests"
    old = [path for path in root.glob("*") if path not in current] if root.exists() else []
    for path in old if not dry_run else ():
        shutil.rmtree(path)
    return [path.name for path in old]

# SPDX-License-Identifier: Apache-2.0
"""What physical machines need that is no Debian package: two archives of Python, the ramdisk, a disk image."""

import sys
from collections.abc import Sequence
from pathlib import Path

from arbaro import shell
from arbaro.cluster import packages
from arbaro.cluster.buildkey import apt_parts
from arbaro.cluster.built import Built, write_apt_files
from arbaro.cluster.guests import Guest
from arbaro.settings import cache_dir, files_dir
from arbaro.steps import Note

#: What the ramdisk's and the disk image's recipes need of this machine.
PACKAGES = (
    *("dosfstools", "fdisk", "isolinux", "mtools", "syslinux", "syslinux-common", "systemd-boot-efi", "xorriso"),
    "python3",
)
SERVICE = Path("services/machines")
#: What packs Python distributions, and the versions that it takes.
BUNDLE = ("bundle", "constraints.txt")
#: What the BMCs of emulated machines are.
EMULATOR = ("sushy-tools", "sushy", "bcrypt")


def service() -> Built:
    """The machine service with all that it imports."""

    def make(tree: Path, out: Path, note: Note) -> None:
        _bundle(tree, out, [f"{tree / SERVICE}[service]"], note)

    files = [files_dir() / SERVICE / name for name in ("arbaro_machines", "pyproject.toml", "README.md", *BUNDLE)]
    return Built("Pack the machine service", parts_dir(), "service", files, (), make, expected=40, suffix=".tar")


def emulator() -> Built:
    """The BMCs of emulated machines."""

    def make(tree: Path, out: Path, note: Note) -> None:
        _bundle(tree, out, EMULATOR, note)

    files = [files_dir() / SERVICE / name for name in BUNDLE]
    return Built("Pack the machines' BMCs", parts_dir(), "emulator", files, EMULATOR, make, expected=20, suffix=".tar")


def ramdisk(suite: str) -> Built:
    """The ramdisk that writes and wipes machines: a directory."""
    recipe = Path("images/agents/deploy")

    def make(tree: Path, out: Path, note: Note) -> None:
        packages.install(PACKAGES, note)
        sources, _ = write_apt_files(out.parent, suite)
        shell.run([tree / recipe / "build", out, sources, suite], timeout=900, on_line=note)

    files = [files_dir() / recipe, files_dir() / "images/guests/tiny/root"]
    return Built("Build the machines' ramdisk", parts_dir(), "ramdisk", files, apt_parts(suite), make, expected=40)


def disk(guest: Guest) -> Built:
    """The guest tiny on a disk that starts by itself, as a machine needs it."""
    recipe = Path("images/guests/tiny-disk")

    def make(tree: Path, out: Path, note: Note) -> None:
        packages.install(PACKAGES, note)
        kernel, initrd = (guest.directory / name for name in ("vmlinuz", "initrd"))
        shell.run([tree / recipe, kernel, initrd, out], timeout=120, on_line=note)

    files, parts = [files_dir() / recipe], [guest.directory.name]
    return Built(
        "Put the guest tiny on a disk", parts_dir(), "tiny-disk", files, parts, make, expected=3, suffix=".raw"
    )


def parts_dir() -> Path:
    """Where built parts are."""
    return cache_dir() / "machines"


def _bundle(tree: Path, out: Path, requirements: Sequence[str], note: Note) -> None:
    note(", ".join(Path(name).name for name in requirements))
    env = {"PIP": f"{sys.executable} -m pip"}
    shell.run([tree / SERVICE / "bundle", out, *requirements], env=env, timeout=900, on_line=note)

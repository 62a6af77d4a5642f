# SPDX-License-Identifier: Apache-2.0
"""What clouds with physical machines need beside Debian packages: two archives of Python, the ramdisk, a disk image.

Each is built once under a key of all that goes into it, and only for clouds that have machines.
"""

import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from arbaro import shell
from arbaro.cluster import aptsources, packages
from arbaro.cluster.guests import Guest
from arbaro.cluster.keys import digest, key_of
from arbaro.errors import CommandError
from arbaro.settings import cache_dir, files_dir
from arbaro.steps import Note, Step

#: What the ramdisk's and the disk image's recipes need of this machine.
PACKAGES = (
    *("dosfstools", "fdisk", "isolinux", "mtools", "syslinux", "syslinux-common", "systemd-boot-efi", "xorriso"),
    "python3",
)
#: What the BMCs of emulated machines are.
EMULATOR = ("sushy-tools", "sushy", "bcrypt")


@dataclass(frozen=True)
class Part:
    """One of them: `make` leaves it at the path that it is given."""

    title: str
    path: Path
    make: Callable[[Path, Note], None]
    expected: float

    def step(self) -> Step:
        """How it is built, where it is missing."""
        return Step(self.title, lambda: not self.path.exists(), self._build, self.expected)

    def _build(self, note: Note) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.path.parent, prefix=".new-") as scratch:
            made = Path(scratch) / "part"
            try:
                self.make(made, note)
            except CommandError as error:
                error.what = f"{self.title!r} failed."
                error.hint = "See that apt and pip reach their indexes from here, then run the same command again."
                raise
            # Only a complete build gets the final name.
            made.rename(self.path)


def service() -> Part:
    """The machine service with all that it imports."""
    root = files_dir() / "services/machines"
    key = key_of(
        [digest([root / "arbaro_machines", root / "pyproject.toml", root / "constraints.txt", root / "bundle"])]
    )
    path = parts_dir() / f"service-{key}.tar"
    return Part("Pack the machine service", path, lambda out, note: _bundle(out, [f"{root}[service]"], note), 40)


def emulator() -> Part:
    """The BMCs of emulated machines."""
    root = files_dir() / "services/machines"
    key = key_of([*EMULATOR, digest([root / "constraints.txt", root / "bundle"])])
    path = parts_dir() / f"emulator-{key}.tar"
    return Part("Pack the machines' BMCs", path, lambda out, note: _bundle(out, EMULATOR, note), 20)


def ramdisk(suite: str) -> Part:
    """The ramdisk that writes and wipes machines: a directory."""
    recipe = files_dir() / "images/agents/deploy"
    sources = [str(source) for source in aptsources.machine_sources(suite)]
    key = key_of([*sources, digest([recipe, files_dir() / "images/guests/tiny/root"])])

    def make(out: Path, note: Note) -> None:
        packages.install(PACKAGES, note)
        listed = out.with_name("sources.list")
        listed.write_text("".join(f"{source}\n" for source in sources))
        shell.run([recipe / "build", out, listed, suite], timeout=900, on_line=note)

    return Part("Build the machines' ramdisk", parts_dir() / f"ramdisk-{key}", make, 40)


def disk(guest: Guest) -> Part:
    """The guest tiny on a disk that starts by itself, as a machine needs it."""
    recipe = files_dir() / "images/guests/tiny-disk"
    path = parts_dir() / f"tiny-disk-{key_of([guest.directory.name, digest([recipe])])}.raw"

    def make(out: Path, note: Note) -> None:
        packages.install(PACKAGES, note)
        shell.run([recipe, guest.directory / "vmlinuz", guest.directory / "initrd", out], timeout=120, on_line=note)

    return Part("Put the guest tiny on a disk", path, make, 3)


def parts_dir() -> Path:
    """Where built parts are."""
    return cache_dir() / "machines"


def prune_parts(keep: set[Path], *, dry_run: bool = False) -> list[str]:
    """Remove built parts that are not in `keep`, and what killed builds left; returns their names."""
    old = [path for path in parts_dir().glob("*") if path not in keep] if parts_dir().exists() else []
    for path in old if not dry_run else ():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return [path.name for path in old]


def _bundle(out: Path, requirements: Sequence[str], note: Note) -> None:
    note(", ".join(Path(name).name for name in requirements))
    env = {"PIP": f"{sys.executable} -m pip"}
    shell.run([files_dir() / "services/machines/bundle", out, *requirements], env=env, timeout=900, on_line=note)

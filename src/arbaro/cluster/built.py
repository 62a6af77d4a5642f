# SPDX-License-Identifier: Apache-2.0
"""Things that are built once on this machine and kept: guests, agents' images, what physical machines need."""

import shutil
import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from arbaro.cluster import aptsources
from arbaro.cluster.buildkey import copy_files, digest, key_of
from arbaro.errors import CommandError
from arbaro.steps import Note, Step


@dataclass(frozen=True)
class Built:
    """A file or a directory whose name has the key of all that goes into it. It is there only when it is whole.

    `files` are those of the repository that go in, and `parts` is what else does. `make` is given a copy of the files
    and the path at which to leave what it makes; it may use the directory around that. `expected` is in seconds.
    """

    title: str
    directory: Path
    name: str
    files: Sequence[Path]
    parts: Sequence[str]
    make: Callable[[Path, Path, Note], None]
    expected: float
    suffix: str = ""

    @cached_property
    def path(self) -> Path:
        """Where it is, or will be."""
        return self.directory / f"{self.name}-{key_of([*self.parts, digest(self.files)])}{self.suffix}"

    def step(self) -> Step:
        """How it is built, where it is missing."""
        return Step(self.title, lambda: not self.path.exists(), self.build, self.expected)

    def build(self, note: Note) -> None:
        """Build it in a scratch directory; only what is whole gets the final name."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.path.parent, prefix=".new-") as scratch:
            tree, made = Path(scratch) / "tree", Path(scratch) / "made"
            copy_files(self.files, tree)
            try:
                self.make(tree, made, note)
            except CommandError as error:
                error.what = f"{self.title!r} failed."
                error.hint = error.hint or (
                    "See that `apt-get update` and pip reach their servers from here (mirror, proxy), "
                    "then run the same command again."
                )
                raise
            made.rename(self.path)


def write_apt_files(directory: Path, suite: str) -> tuple[Path, Path]:
    """Write this machine's apt sources, asked for this suite, and its apt options, as build recipes take them."""
    sources, options = directory / "sources.list", directory / "90machine"
    sources.write_text("".join(f"{source}\n" for source in aptsources.machine_sources(suite)))
    options.write_text("".join(f"{line}\n" for line in aptsources.machine_apt_options()))
    return sources, options


def prune_built(directory: Path, keep: Collection[Path], *, dry_run: bool = False) -> list[str]:
    """Remove what is built there and not in `keep`, and what killed builds left; returns the names.

    The caller keeps builds from running meanwhile: a running one's scratch looks just like a killed one's.
    """
    old = sorted(path for path in directory.glob("*") if path not in keep)
    for path in old if not dry_run else ():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return [path.name for path in old]

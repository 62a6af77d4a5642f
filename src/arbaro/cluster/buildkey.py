# SPDX-License-Identifier: Apache-2.0
"""The key of something built: a hash of all that goes into it, so that a change builds it anew.

A build works in a copy that has nothing but the files in its key. So a file that was forgotten there fails the first
build; it does not leave an old image in use when it changes.
"""

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from arbaro.cluster import aptsources
from arbaro.settings import files_dir


def key_of(parts: Iterable[str]) -> str:
    """Make one key of all parts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def digest(paths: Iterable[Path]) -> str:
    """Hash files with their places and whether they are executable; of directories, all files below."""
    content = hashlib.sha256()
    for path in files_of(paths):
        kind = b"link" if path.is_symlink() else b"executable" if os.access(path, os.X_OK) else b"file"
        inside = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        content.update(b"\0".join((path.relative_to(files_dir()).as_posix().encode(), kind, inside)))
    return content.hexdigest()


def files_of(paths: Iterable[Path]) -> Iterator[Path]:
    """The files among paths and below them, in order. Compiled Python files are skipped."""
    for path in paths:
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if (file.is_file() or file.is_symlink()) and file.suffix != ".pyc":
                yield file


def copy_files(paths: Iterable[Path], tree: Path) -> None:
    """Copy these files, and no others, to the same places below `tree`."""
    for path in files_of(paths):
        place = tree / path.relative_to(files_dir())
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, place, follow_symlinks=False)


def apt_parts(suite: str) -> list[str]:
    """What apt brings to a build: this machine's sources, asked for this suite, and its options."""
    return [*(str(source) for source in aptsources.machine_sources(suite)), *aptsources.machine_apt_options()]

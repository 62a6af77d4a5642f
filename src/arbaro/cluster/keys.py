# SPDX-License-Identifier: Apache-2.0
"""An image's key: a hash of all that goes into it, so that a change builds it anew."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from arbaro.settings import files_dir


def key_of(parts: Iterable[str]) -> str:
    """Make one key of all parts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def digest(paths: Iterable[Path]) -> str:
    """Hash files, and all files below directories, with their places; what Python compiles counts not."""
    content = hashlib.sha256()
    for path in paths:
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.is_file() and file.suffix != ".pyc":
                content.update(file.relative_to(files_dir()).as_posix().encode() + b"\0" + file.read_bytes())
    return content.hexdigest()

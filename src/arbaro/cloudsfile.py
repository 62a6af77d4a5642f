# SPDX-License-Identifier: Apache-2.0
"""The one reader and writer of a person's clouds.yaml and secure.yaml (and clouds.yml, clouds.json …).

Other entries and comments stay, a link stays a link, a file is written whole or not at all, and two runs at once wait
for each other. https://docs.openstack.org/openstacksdk/latest/user/config/configuration.html
"""

import copy
import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from arbaro import cloudstext
from arbaro.cloudspaths import clouds_file, is_there, secure_file
from arbaro.cloudstext import GONE, Changes
from arbaro.errors import ArbaroError

__all__ = ["GONE", "Changes", "document", "edit", "forget", "load", "locked", "replace", "text_of"]


def load(path: Path) -> dict[Any, Any]:
    """The `clouds:` section of a file as openstacksdk reads it, empty if there is none.

    Raises ArbaroError with file and line.
    """
    return document(path).get("clouds") or {}


def document(path: Path) -> dict[Any, Any]:
    """All that a file holds, as openstacksdk reads it. Raises ArbaroError with file and line."""
    return copy.deepcopy(_parsed(text_of(path), path))


@lru_cache(maxsize=2)
def _parsed(text: str, path: Path) -> dict[Any, Any]:
    # One command asks several times, and PyYAML takes a millisecond for each entry.
    return cloudstext.parse(text, path)


@contextmanager
def locked() -> Iterator[None]:
    """Keep other runs of arbaro from writing either file meanwhile."""
    # The directories above the files' own are the locks: nothing is left behind, and they stay when the files go.
    directories = {path.resolve().parent.parent for path in (clouds_file(), secure_file())}
    with ExitStack() as stack:
        for directory in sorted(directories):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(directory, os.O_RDONLY)
            stack.callback(os.close, handle)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def edit(
    path: Path, changes: Changes, *, private: bool = False, keep_old: bool = True, cache_tokens: bool = False
) -> None:
    """Change the `clouds:` section of a file, within `locked()`; the old file is kept in the same directory as FILE~.

    With `cache_tokens`, a file that says nothing of caching also gets openstacksdk's `cache: {auth: true}`.
    """
    text = cloudstext.changed(text_of(path), path, changes, cache_tokens=cache_tokens)
    _sweep(path.resolve())
    replace(path, text, private=private, keep_old=keep_old)


def forget(path: Path, name: str, *, private: bool = False) -> None:
    """Take an entry out of a file, within `locked()`; a file with nothing else in it goes too."""
    if name not in load(path):
        return
    text = cloudstext.changed(text_of(path), path, {(name,): GONE})
    if cloudstext.parse(text, path) == {"clouds": {}} and "#" not in text and not path.is_symlink():
        path.unlink()
    else:
        replace(path, text, private=private, keep_old=False)


def replace(path: Path, text: str, *, private: bool = False, keep_old: bool = True) -> None:
    """Write a file whole or not at all; the old one stays as FILE~. Links are followed.

    New and `private` files are 0600, others keep their mode; all keep their owner.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        raise ArbaroError(f"{path} is no file, so nothing was written into it.", hint=f"ls -l {path}")
    try:
        _replace(target, text, private, keep_old)
    except OSError as error:
        raise ArbaroError(
            f"{path} cannot be written: {error.strerror}.", hint=f"ls -ld {target.parent} {path}"
        ) from error


def _replace(target: Path, text: str, private: bool, keep_old: bool) -> None:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    old = target.stat() if target.exists() else None
    mode = old.st_mode & 0o777 if old and not private else 0o600
    new = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        _write(new, text.encode(), mode, old)
        if old and keep_old:
            _write(target.with_name(target.name + "~"), target.read_bytes(), mode, old)
        new.rename(target)
    finally:
        with suppress(FileNotFoundError):
            new.unlink()


def _write(path: Path, content: bytes, mode: int, like: os.stat_result | None) -> None:
    # Removed first: the mode counts only for a file that is made.
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        if like and (like.st_uid, like.st_gid) != (os.geteuid(), os.getegid()):
            with suppress(PermissionError):
                os.fchown(file.fileno(), like.st_uid, like.st_gid)
        os.fchmod(file.fileno(), mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sweep(target: Path) -> None:
    """Remove what a killed run left; whoever holds the lock is the only one who writes."""
    for draft in target.parent.iterdir() if target.parent.is_dir() else ():
        if draft.name.startswith(f".{target.name}.") and draft.suffix[1:].isdigit():
            draft.unlink(missing_ok=True)


def text_of(path: Path) -> str:
    """A file's text, empty if there is none. Raises ArbaroError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8") if is_there(path) else ""
    except UnicodeDecodeError as error:
        raise cloudstext.broken(f"{path} is not UTF-8", path) from error
    except OSError as error:
        raise ArbaroError(f"{path} cannot be read: {error.strerror}.", hint=f"ls -l {path}") from error

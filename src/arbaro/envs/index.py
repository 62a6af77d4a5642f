# SPDX-License-Identifier: Apache-2.0
"""The index: what a shell must know to switch and to complete, in a form that it reads without starting a process.

Line 1 holds its version, its key, and the clouds.yaml and secure.yaml that count. Line 2 lists all files that it was
made from, and those that would have come first, had they existed. Each other line is an environment. A directory that
is named by the key holds an empty file for each file of line 2 that existed, with the same time stamp. So a shell sees
by itself (`-nt`, `-ot`, `-e`) that one was changed, has come or has gone.
"""

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

from arbaro.cloudspaths import clouds_file, clouds_places, is_there, secure_file, secure_places, vendor_places
from arbaro.envs import files
from arbaro.envs.environment import UNFETCHED, Environment

#: ASCII's own unit separator; unlike a tab it keeps empty fields apart in every shell.
SEPARATOR = "\x1f"
FIELDS = tuple(field.name for field in fields(Environment))
#: Seconds after which a provider that did not answer is asked again.
_ASK_AGAIN = 60
_VERSION = "arbaro-index-2"


def environments() -> list[Environment]:
    """All environments, from the index if it is fresh: then no YAML is read. Raises ArbaroError as reading it does."""
    found = _read()
    return refresh() if found is None or _may_be_fetched(found) else found


def _may_be_fetched(found: list[Environment]) -> bool:
    """Say whether a provider that did not answer is asked again; a minute later, since the wait for none is long."""
    missing = any(environment.fault == UNFETCHED for environment in found)
    return missing and time.time() - files.index_file().stat().st_mtime > _ASK_AGAIN


def refresh(*, always: bool = True) -> list[Environment]:
    """Write the index anew and return the environments in it. Raises ArbaroError that names file and line.

    Unless `always`, one that somebody else has just made is taken.
    """
    with _locked():
        found = None if always else _read()
        return _make() if found is None else found


def _make() -> list[Environment]:
    from arbaro.envs import clouds

    # Taken before reading: a change meanwhile must make the index look stale.
    sources = _sources()
    stamps = [_stamp(path) for path in sources]
    head = _head(sources, stamps)
    found = [environment for environment in clouds.load_environments() if _fits(environment)]
    clouds.write_views(found)
    _write_stamps(_stamps_dir(head[0]), stamps)
    _write(files.index_file(), "".join(f"{text}\n" for text in (*head, *map(_line, found))))
    import shutil

    for old in files.index_file().parent.glob(f"{files.index_file().name}.*"):
        if old.is_dir() and old != _stamps_dir(head[0]):
            shutil.rmtree(old, ignore_errors=True)
    return found


def _read() -> list[Environment] | None:
    try:
        first, second, *lines, _ = files.index_file().read_text().split("\n")
    except (OSError, ValueError):
        return None
    sources = _sources()
    if [first, second] != _head(sources, [_stamp(path) for path in sources]):
        return None
    return [Environment(*line.split(SEPARATOR)[1:]) for line in lines]


def _sources() -> list[Path]:
    """The files that count, each after those that would come before it."""
    found = []
    for places in (clouds_places(), secure_places(), vendor_places()):
        there = next((number for number, path in enumerate(places, 1) if is_there(path)), len(places))
        found += places[:there]
    return found


def _head(sources: list[Path], stamps: list[int]) -> list[str]:
    key = hashlib.sha256(repr((FIELDS, sources, stamps)).encode()).hexdigest()[:16]
    secure = secure_file()
    shown = [_VERSION, key, str(clouds_file()), str(secure) if is_there(secure) else os.devnull]
    return [SEPARATOR.join(["", *words]) for words in (shown, map(str, sources))]


def _stamps_dir(first: str) -> Path:
    index = files.index_file()
    return index.with_name(f"{index.name}.{first.split(SEPARATOR)[2]}")


def _line(environment: Environment) -> str:
    """The first field names the files of its views."""
    return SEPARATOR.join([files.slug(environment.name), *(getattr(environment, name) for name in FIELDS)])


def _fits(environment: Environment) -> bool:
    # A name with a line break or a control character in it could not be typed anyway.
    return all(getattr(environment, name).isprintable() for name in FIELDS)


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


@contextmanager
def _locked() -> Iterator[None]:
    """One run reads the files; the shells that noticed the same change wait for it."""
    directory = files.index_file().parent
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _write_stamps(directory: Path, stamps: list[int]) -> None:
    directory.mkdir(exist_ok=True)
    for number, stamp in enumerate(stamps, 1):
        if stamp:
            (directory / str(number)).touch()
            os.utime(directory / str(number), ns=(stamp, stamp))


def _write(path: Path, text: str) -> None:
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_text(text)
    new.rename(path)

# SPDX-License-Identifier: Apache-2.0
"""The index: what a shell must know to switch and to complete, in a form that it reads without starting a process.

Its time stamp is that of the clouds.yaml it was made from, so a shell sees by itself (`-nt`, `-ot`) that it is stale.
"""

import os
from dataclasses import fields
from pathlib import Path

from arbaro.cloudspaths import clouds_file, secure_file
from arbaro.envs import files
from arbaro.envs.environment import Environment

#: ASCII's own unit separator; unlike a tab it keeps empty fields apart in every shell.
SEPARATOR = "\x1f"
FIELDS = tuple(field.name for field in fields(Environment))


def environments() -> list[Environment]:
    """All environments, from the index if it is fresh: then no YAML is read. Raises ArbaroError as reading it does."""
    try:
        head, *lines = files.index_file().read_text().splitlines()
    except (OSError, ValueError):
        return refresh()
    fresh = head == _head() and _stamp(files.index_file()) == _stamp(clouds_file()) != 0
    return [Environment(*line.split(SEPARATOR)[1:]) for line in lines] if fresh else refresh()


def refresh() -> list[Environment]:
    """Write the index anew and return the environments in it. Raises ArbaroError that names file and line."""
    from arbaro.envs import clouds

    # Both taken before reading: a change meanwhile must make the index look stale.
    stamp, head = _stamp(clouds_file()), _head()
    found = [environment for environment in clouds.load_environments() if _fits(environment)]
    _write(files.index_file(), "".join(f"{text}\n" for text in (head, *map(_line, found))), stamp)
    return found


def _line(environment: Environment) -> str:
    """The first field names the files of its short-lived credentials."""
    return SEPARATOR.join([files.slug(environment.name), *(getattr(environment, name) for name in FIELDS)])


def _fits(environment: Environment) -> bool:
    # A name with a line break or a control character in it could not be typed anyway.
    return all(getattr(environment, name).isprintable() for name in FIELDS)


def _head() -> str:
    return f"{SEPARATOR}{_stamp(secure_file())}{SEPARATOR}{','.join(FIELDS)}"


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _write(path: Path, text: str, stamp: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_text(text)
    os.utime(new, ns=(stamp, stamp))
    new.rename(path)

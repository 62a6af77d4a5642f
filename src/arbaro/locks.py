# SPDX-License-Identifier: Apache-2.0
"""One at a time: what two runs of arbaro would spoil for each other."""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from arbaro.errors import ArbaroError

DIRECTORY = Path("/run/lock")


@contextlib.contextmanager
def only_one(name: str, *, wait: Callable[[], None] | None = None, last: bool = False) -> Iterator[None]:
    """Let nobody else change this meanwhile; the `last` one takes the lock's file away.

    When somebody does already, `wait` is called and then we wait for them; without it ArbaroError is raised.
    """
    path = DIRECTORY / f"arbaro-{name}"
    handle = _try(path)
    if handle is None and wait:
        wait()
        handle = _try(path, fcntl.LOCK_EX)
    if handle is None:
        raise ArbaroError(
            f"Another arbaro is working on {name} right now.", hint="Wait for it to end, then run the same command."
        )
    try:
        yield
        if last:
            path.unlink(missing_ok=True)
    finally:
        os.close(handle)


def _try(path: Path, how: int = fcntl.LOCK_EX | fcntl.LOCK_NB) -> int | None:
    """Lock the file; returns None when somebody else has it."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, how)
    except BlockingIOError:
        os.close(handle)
        return None
    if _is_there(path, handle):
        return handle
    os.close(handle)
    return _try(path, how)


def _is_there(path: Path, handle: int) -> bool:
    # Who had it before us may have taken the file away; whoever comes next would then lock another one.
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False

# SPDX-License-Identifier: Apache-2.0
"""One at a time: what two runs of arbaro would spoil for each other."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from arbaro.errors import ArbaroError


@contextlib.contextmanager
def only_one(name: str, *, wait: bool = False, last: bool = False) -> Iterator[None]:
    """Let nobody else change this meanwhile; the `last` one takes the lock's file away.

    Raises ArbaroError when somebody does already, unless we are to `wait` for them.
    """
    path = Path(f"/run/lock/arbaro-{name}")
    handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
        if last:
            path.unlink(missing_ok=True)
    except BlockingIOError as error:
        raise ArbaroError(
            f"Another arbaro is working on {name} right now.", hint="Wait for it to end, then run the same command."
        ) from error
    finally:
        os.close(handle)

# SPDX-License-Identifier: Apache-2.0
"""The real openstack client, imported once and forked for each command: importing it takes longer than most commands do."""

import os
import sys
import tempfile
import time
import traceback
import warnings
from typing import NoReturn


def run(argv: list[str], timeout: float) -> tuple[int, str, str]:
    """Run one command in a process of its own; returns its exit code and what it printed to both streams."""
    with warnings.catch_warnings():
        # The client and its libraries warn of their own future.
        warnings.simplefilter("ignore")
        import openstackclient.shell  # noqa: F401 - the child finds it imported
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            _be_the_client(argv, out.fileno(), err.fileno())
        status = _wait(child, argv, timeout)
        out.seek(0), err.seek(0)
        return os.waitstatus_to_exitcode(status), *(stream.read().decode(errors="replace") for stream in (out, err))


def _be_the_client(argv: list[str], out: int, err: int) -> NoReturn:
    from openstackclient import shell

    code = 70
    warnings.simplefilter("ignore")
    try:
        os.dup2(out, 1)
        os.dup2(err, 2)
        # pytest has put its own in their places.
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        code = shell.main(argv)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 2
    except Exception:  # noqa: BLE001 - the last word of this process
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # Nothing of pytest's is to be torn down by this process.
        os._exit(code or 0)


def _wait(child: int, argv: list[str], timeout: float) -> int:
    deadline = time.monotonic() + timeout
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        if time.monotonic() > deadline:
            os.kill(child, 9)
            os.waitpid(child, 0)
            raise AssertionError(f"openstack {' '.join(argv)} did not end within {timeout:.0f} s")
        time.sleep(0.02)

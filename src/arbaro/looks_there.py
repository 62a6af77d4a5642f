# SPDX-License-Identifier: Apache-2.0
"""Runs on a host, by its own Python, and is sent there by `looks`: commands side by side, each with a time limit.

It prints one line of JSON as soon as a command has ended: [name, code, output, errors]; the code is null when time was
up. Nothing is written on the host, and a command that cannot even be killed is left alone.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading

#: Characters of an answer that are passed on.
MOST = 1000000


def run(name: str, argv: list[str], seconds: float) -> None:
    """Run one command and print how it ended."""
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        say(name, 127, "", str(error))
        return
    try:
        found = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        say(name, None, "", "")
        return
    output, errors = (stream.decode("utf-8", "replace")[:MOST] for stream in found)
    say(name, process.returncode, output, errors)


def say(name: str, code: int | None, output: str, errors: str) -> None:
    """Print one line; no other thread's line gets into it."""
    with LOCK:
        sys.stdout.write(json.dumps([name, code, output, errors]) + "\n")
        sys.stdout.flush()


def main(commands: list[tuple[str, list[str], float]]) -> None:
    """Run all of them, and end whatever they do."""
    threads = [threading.Thread(target=run, args=command, daemon=True) for command in commands]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os._exit(0)


LOCK = threading.Lock()

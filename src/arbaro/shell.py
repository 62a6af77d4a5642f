# SPDX-License-Identifier: Apache-2.0
"""The only place where processes are started.

Every command and what it printed goes to the log of the current run. Secrets travel by standard input or files, which
are not logged, never in argv.
"""

import contextlib
import os
import select
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from arbaro.errors import ArbaroError, CommandError
from arbaro.runs import GRACE, Run, current_run, signal_all

Process = subprocess.Popen[bytes]
#: Podman repeats it at each call where another tool left a CNI file behind; it says nothing about what we asked.
_NOISE = "Error validating CNI config file"
#: Before a command: the kernel ends it when the thread that started it, or all of us, is gone.
TIED = ("/usr/bin/setpriv", "--pdeathsig", "TERM", "--")
#: Seconds for what a killed command has printed to arrive; a process that left its session may hold the pipe longer.
_LAST_WORDS = 1.0


def run(
    argv: Sequence[str | Path],
    *,
    where: str = "this machine",
    stdin: str | bytes | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float = 60,
    check: bool = True,
    on_line: Callable[[str], None] | None = None,
    to_its_end: bool = False,
    secret: bool = False,
) -> str:
    """Run a command on this machine and return its standard output; `where` is where an error says that it happened.

    `on_line` is called with each line (standard error included) as it comes; then both streams are returned in one.
    With `secret`, standard output is not logged. With `to_its_end`, what ends us (Ctrl-C, a closed terminal, a killed
    process group) does not tear the command.
    Raises CommandError when the command cannot be started, takes longer than `timeout` seconds (then it is killed, with
    all that it has started), or (with `check`) ends with another code than 0.
    """
    words, current = [str(word) for word in argv], current_run()
    current.log(f"[{where}] $ {' '.join(words)}")
    process = _start(words, where, stdin is not None, env, cwd, bool(on_line), to_its_end)
    data = stdin.encode() if isinstance(stdin, str) else stdin
    late = False
    with process, contextlib.nullcontext() if to_its_end else current.ends(process):
        try:
            output, errors, late = (
                _follow(process, current, on_line, timeout)
                if on_line
                else _gather(process, current, data, timeout, secret)
            )
        except BaseException:
            process.communicate() if to_its_end else _end(process)
            raise
    if late or (check and process.returncode != 0):
        raise CommandError(
            words, where=where, code=process.returncode, output=errors + output, limit=timeout if late else None
        )
    return output


def succeeds(argv: Sequence[str | Path], *, timeout: float = 60) -> bool:
    """Say whether a command ends with code 0."""
    try:
        run(argv, timeout=timeout)
    except CommandError:
        return False
    return True


def become(argv: Sequence[str | Path]) -> None:
    """Replace this process by a command, so that it owns the terminal."""
    words = [str(word) for word in argv]
    try:
        os.execvp(words[0], words)
    except OSError as error:
        raise ArbaroError(f"{words[0]} cannot be run: {error.strerror}.", hint=f"type {words[0]}") from error


def _start(
    words: list[str],
    where: str,
    takes_input: bool,
    env: Mapping[str, str] | None,
    cwd: Path | None,
    one_stream: bool,
    to_its_end: bool,
) -> Process:
    # In a session of its own a command has no terminal: it cannot ask for a password and wait for ever, and Ctrl-C
    # reaches it only through us. With its process group all that it starts can be ended. If we are killed, the kernel
    # ends it.
    tied = () if to_its_end else TIED
    try:
        return subprocess.Popen(
            [*tied, *words],
            stdin=subprocess.PIPE if takes_input else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if one_stream else subprocess.PIPE,
            env={**os.environ, **env} if env else None,
            cwd=cwd,
            start_new_session=True,
        )
    except OSError as error:
        raise CommandError(words, where=where, code=127, output=str(error)) from error


def _end(process: Process) -> None:
    """Interrupt a command that nobody waits for any more, and kill it if it does not heed that."""
    signal_all(process, signal.SIGINT)
    try:
        process.communicate(timeout=GRACE)
    except subprocess.TimeoutExpired:
        signal_all(process, signal.SIGKILL)


def _gather(process: Process, current: Run, data: bytes | None, timeout: float, secret: bool) -> tuple[str, str, bool]:
    """Wait for the command; returns its output, its errors, and whether it was killed because it took too long."""
    late = False
    try:
        found = process.communicate(data, timeout)
    except subprocess.TimeoutExpired:
        late = True
        signal_all(process, signal.SIGKILL)
        found = _last_words(process)
    output, errors = (stream.decode(errors="replace") for stream in found)
    errors = "\n".join(line for line in errors.splitlines() if _NOISE not in line)
    for line in [*errors.splitlines(), *([] if secret else output.splitlines())][:400]:
        current.log(f"  {line}")
    return output, errors, late


def _last_words(process: Process) -> tuple[bytes, bytes]:
    try:
        return process.communicate(timeout=_LAST_WORDS)
    except subprocess.TimeoutExpired as error:
        # Something that has left the group still holds the pipe.
        return error.output or b"", error.stderr or b""


def _follow(process: Process, current: Run, on_line: Callable[[str], None], timeout: float) -> tuple[str, str, bool]:
    """Pass on each line of the command as it comes; returns what `_gather` returns."""
    # A playbook's whole output fits; a journal that is followed for hours need not be kept.
    lines: deque[str] = deque(maxlen=20000)
    deadline = time.monotonic() + timeout
    late = False
    try:
        for line in _lines(process, deadline):
            if _NOISE not in line:
                current.log(f"  {line}")
                lines.append(line)
                on_line(line)
        process.wait(max(0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        late = True
        signal_all(process, signal.SIGKILL)
    return "\n".join(lines), "", late


def _lines(process: Process, deadline: float) -> Iterator[str]:
    """The lines that a command prints until it ends. Raises TimeoutExpired when time is up."""
    assert process.stdout is not None
    stream, rest = process.stdout.fileno(), b""
    poll = select.poll()
    poll.register(stream, select.POLLIN)
    while chunk := _read(process, stream, poll, deadline):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode(errors="replace").rstrip("\r") for line in whole)
    if rest:
        yield rest.decode(errors="replace").rstrip("\r")


def _read(process: Process, stream: int, poll: select.poll, deadline: float) -> bytes:
    left = deadline - time.monotonic()
    if left <= 0 or not poll.poll(left * 1000):
        raise subprocess.TimeoutExpired(process.args, left)
    return os.read(stream, 65536)

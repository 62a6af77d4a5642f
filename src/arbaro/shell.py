# SPDX-License-Identifier: Apache-2.0
"""The only place where processes are started: on this machine, or on a host by SSH.

Every command and what it printed goes to the log file. Secrets travel by standard input or files, which are not
logged, never in argv.
"""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from arbaro.errors import CommandError
from arbaro.hosts import Host

#: Podman repeats it at each call where another tool left a CNI file behind; it says nothing about what we asked.
_NOISE = "Error validating CNI config file"
_log: IO[str] | None = None
_echo = False
_log_lock = threading.Lock()
_interruptible: set[subprocess.Popen[bytes]] = set()
#: Set by Ctrl-C, for threads that wait: only the main thread hears of it.
interrupted = threading.Event()


@contextlib.contextmanager
def log_to(path: Path, *, echo: bool = False) -> Iterator[None]:
    """Write what the commands in this block print to `path` (0600); with `echo`, to standard error as well."""
    global _log, _echo
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w", buffering=1) as file:
        _log, _echo = file, echo
        try:
            yield
        finally:
            _log, _echo = None, False


def log(line: str) -> None:
    """Write one line to the log, with the time of day."""
    with _log_lock:
        if _log:
            _log.write(f"{time.strftime('%H:%M:%S')} {line}\n")
        if _echo:
            os.write(2, f"{line}\n".encode())


def run(
    argv: Sequence[str | Path],
    *,
    stdin: str | bytes | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float = 60,
    check: bool = True,
    on_line: Callable[[str], None] | None = None,
    to_its_end: bool = False,
) -> str:
    """Run a command on this machine and return its standard output.

    `on_line` is called with each line (standard error included) as it comes; then both streams are returned in one.
    With `to_its_end`, what ends us (Ctrl-C, a closed terminal, a killed process group) does not tear the command.
    Raises CommandError when the command cannot be started, takes longer than `timeout` seconds, or (with `check`)
    ends with another code than 0.
    """
    words = [str(word) for word in argv]
    return _run(words, "this machine", stdin, env, cwd, timeout, check, on_line, to_its_end)


def run_on(
    host: Host, ssh: Sequence[str], command: Sequence[str], *, stdin: str | None = None, timeout: float = 60
) -> str:
    """Run a command on a host through the given ssh argv prefix and return its standard output.

    Raises CommandError that names the host.
    """
    return _run([*ssh, "--", *command], host.name, stdin, None, None, timeout, True, None, False)


def succeeds(argv: Sequence[str | Path], *, timeout: float = 60) -> bool:
    """Say whether a command ends with code 0."""
    try:
        run(argv, timeout=timeout)
    except CommandError:
        return False
    return True


def interrupt() -> None:
    """End what other threads run or wait for, as Ctrl-C does for the main one, but for what is to run to its end.

    What they start afterwards is ended as well.
    """
    interrupted.set()
    for process in list(_interruptible):
        process.send_signal(signal.SIGINT)


def become(argv: Sequence[str | Path]) -> None:
    """Replace this process by a command, so that it owns the terminal."""
    words = [str(word) for word in argv]
    os.execvp(words[0], words)


def _run(
    words: list[str],
    where: str,
    stdin: str | bytes | None,
    env: Mapping[str, str] | None,
    cwd: Path | None,
    timeout: float,
    check: bool,
    on_line: Callable[[str], None] | None,
    to_its_end: bool,
) -> str:
    log(f"[{where}] $ {' '.join(words)}")
    data = stdin.encode() if isinstance(stdin, str) else stdin
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE if data is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if on_line else subprocess.PIPE,
            env={**os.environ, **env} if env else None,
            cwd=cwd,
            start_new_session=to_its_end,
        )
    except OSError as error:
        raise CommandError(words, where=where, code=127, output=str(error)) from error
    with process:
        timer = threading.Timer(timeout, process.kill)
        timer.start()
        if not to_its_end:
            _interruptible.add(process)
            if interrupted.is_set():
                process.send_signal(signal.SIGINT)
        try:
            output, errors = _follow(process, on_line) if on_line else _gather(process, data)
        except BaseException:
            if to_its_end:
                process.wait()
            else:
                process.kill()
            raise
        finally:
            _interruptible.discard(process)
            timer.cancel()
    if check and process.returncode != 0:
        late = f"\n(ended by us: it took more than {timeout:.0f} s)" if process.returncode == -9 else ""
        raise CommandError(words, where=where, code=process.returncode, output=errors + output + late)
    return output


def _gather(process: subprocess.Popen[bytes], data: bytes | None) -> tuple[str, str]:
    output, errors = (stream.decode(errors="replace") for stream in process.communicate(data))
    errors = "\n".join(line for line in errors.splitlines() if _NOISE not in line)
    for line in [*errors.splitlines(), *output.splitlines()][:400]:
        log(f"  {line}")
    return output, errors


def _follow(process: subprocess.Popen[bytes], on_line: Callable[[str], None]) -> tuple[str, str]:
    assert process.stdout is not None
    # A playbook's whole output fits; a journal that is followed for hours need not be kept.
    lines: deque[str] = deque(maxlen=20000)
    for raw in process.stdout:
        line = raw.decode(errors="replace").rstrip("\r\n")
        if _NOISE not in line:
            log(f"  {line}")
            lines.append(line)
            on_line(line)
    process.wait()
    return "\n".join(lines), ""

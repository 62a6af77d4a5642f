# SPDX-License-Identifier: Apache-2.0
"""One run of the command: its log, what it has started, and whether the person has interrupted it.

A run is held by the context, not by a module: two runs in one process do not see each other.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any, Protocol, TypeVar

#: Seconds that an interrupted command has for putting its things in order.
GRACE = 5.0
#: So many things at once keep a small machine and a host's sshd busy, and no more.
AT_ONCE = 16

Item = TypeVar("Item")
Answer = TypeVar("Answer")
_current: ContextVar["Run"] = ContextVar("run")


class Process(Protocol):
    """What counts of a process that was started as the leader of its own group."""

    pid: int
    returncode: int


def current_run() -> "Run":
    """The run that this thread works for; who has none gets one of their own."""
    try:
        return _current.get()
    except LookupError:
        run = Run()
        _current.set(run)
        return run


class Run:
    """One run: where it logs to, the processes that Ctrl-C ends, and whether it was interrupted."""

    def __init__(self) -> None:
        #: Set by Ctrl-C, for threads that wait: only the main thread hears of it.
        self.interrupted = threading.Event()
        self._log: IO[str] | None = None
        self._echo = False
        self._lock = threading.Lock()
        self._processes: set[Process] = set()
        self._kept: dict[Hashable, Any] = {}

    @contextlib.contextmanager
    def entered(self) -> Iterator["Run"]:
        """Make this the run that the block works for."""
        token = _current.set(self)
        try:
            yield self
        finally:
            _current.reset(token)

    @contextlib.contextmanager
    def log_to(self, path: Path, *, echo: bool = False) -> Iterator[None]:
        """Write what the commands in this block print to `path` (0600); with `echo`, to standard error as well."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w", buffering=1) as file:
            self._log, self._echo = file, echo
            try:
                yield
            finally:
                self._log, self._echo = None, False

    @property
    def echoes(self) -> bool:
        """Say whether what is logged is shown to the person as well."""
        return self._echo

    def log(self, line: str) -> None:
        """Write one line to the log, with the time of day."""
        with self._lock:
            if self._log:
                self._log.write(f"{time.strftime('%H:%M:%S')} {line}\n")
            if self._echo:
                os.write(2, f"{line}\n".encode())

    def kept(self, key: Hashable, make: Callable[[], Answer]) -> Answer:
        """What is made once for the whole run, such as a login, and goes with it."""
        with self._lock:
            if key not in self._kept:
                self._kept[key] = make()
            answer: Answer = self._kept[key]
            return answer

    def sleep(self, seconds: float) -> None:
        """Wait on any thread. Raises KeyboardInterrupt after Ctrl-C."""
        if self.interrupted.wait(seconds):
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def ends(self, process: Process) -> Iterator[None]:
        """Let an interrupt end this process, with all that it has started, while the block waits for it."""
        self._processes.add(process)
        try:
            if self.interrupted.is_set():
                self._end([process])
            yield
        finally:
            self._processes.discard(process)

    def interrupt(self) -> None:
        """End what all threads of this run wait for, as Ctrl-C does for the main one; what they start later, too."""
        self.interrupted.set()
        self._end(list(self._processes))

    def _end(self, processes: Iterable[Process]) -> None:
        """Interrupt these processes, and kill those that do not heed it."""
        for process in processes:
            signal_all(process, signal.SIGINT)
            # A script's children may ignore SIGINT: a shell has its background jobs do so.
            killer = threading.Timer(GRACE, self._kill, [process])
            killer.daemon = True
            killer.start()

    def _kill(self, process: Process) -> None:
        if process in self._processes:
            signal_all(process, signal.SIGKILL)

    @contextlib.contextmanager
    def threads(self, at_once: int = AT_ONCE) -> Iterator[ThreadPoolExecutor]:
        """Threads that work for this run; Ctrl-C ends what they wait for, and nothing more begins."""
        pool = ThreadPoolExecutor(max(1, at_once), initializer=_current.set, initargs=(self,))
        try:
            yield pool
        except KeyboardInterrupt:
            self.interrupt()
            pool.shutdown(cancel_futures=True)
            raise
        finally:
            pool.shutdown()

    def side_by_side(self, call: Callable[[Item], Answer], items: Sequence[Item], *, at_once: int) -> list[Answer]:
        """Call it with each item, so many at once, and return the answers in the items' order.

        Raises the error of the first that has one, when all have ended.
        """
        with self.threads(min(at_once, len(items))) as pool:
            futures = [pool.submit(call, item) for item in items]
            wait(futures)
        return [future.result() for future in futures]


def signal_all(process: Process, number: int) -> None:
    """Send a signal to a process and to all that it has started; its group is its own (see shell)."""
    with contextlib.suppress(ProcessLookupError):
        # As long as nobody has waited for it, its number is its own.
        if process.returncode is None:
            os.killpg(process.pid, number)

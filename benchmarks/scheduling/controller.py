# SPDX-License-Identifier: Apache-2.0
"""Runs our scripts on a cloud's controller, and says every ten seconds how far it is."""

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
THERE = "/usr/local/lib/arbaro-benchmark"


class Controller:
    """The controller of one cloud."""

    def __init__(self, cloud: str) -> None:
        self.cloud = cloud

    def words(self, command: str) -> list[str]:
        """What to start here so that a command runs there as root."""
        return [str(ROOT / "arbaro"), "ssh", self.cloud, "controller", "--", command]

    def run(self, command: str, stdin: bytes = b"") -> str:
        """Run a command there; it ends us with what it said if it fails."""
        done = subprocess.run(self.words(command), input=stdin, capture_output=True, timeout=3600)
        if done.returncode:
            raise SystemExit(f"{command} failed:\n{done.stdout.decode()}{done.stderr.decode()}")
        return done.stdout.decode()

    def send(self) -> None:
        """Lay the scripts there, where the user nova can read them."""
        archive = ["tar", "-c", "--owner=0", "--group=0", "--mode=u=rwX,go=rX", "--exclude=__pycache__", "."]
        packed = subprocess.run(archive, cwd=Path(__file__).parent, capture_output=True, check=True).stdout
        self.run(f"mkdir -p {THERE} && tar -x -C {THERE}", packed)

    def script(self, words: str, user: str = "root") -> str:
        """Run one of the scripts."""
        return self.run(f"cd {THERE} && runuser -u {user} -- python3 -B {words}")

    def fill(self, words: str = "") -> dict[str, Any]:
        """Fill the databases, or empty them; where a killed run is still at it, that comes first."""
        found: dict[str, Any] = json.loads(self.run(f"cd {THERE} && flock .filling python3 -B fill.py {words}"))
        return found

    def ask(self, questions: Iterable[Any]) -> Iterator[dict[str, Any]]:
        """Have these requests scheduled, one after the other; stop reading, and no more are asked."""
        words = self.words(f"cd {THERE} && runuser -u nova -- python3 -B ask.py")
        pipe = subprocess.PIPE
        with (
            tempfile.TemporaryFile() as said,
            subprocess.Popen(words, bufsize=0, stdin=pipe, stdout=pipe, stderr=said) as there,
        ):
            assert there.stdin and there.stdout
            try:
                for question in questions:
                    with suppress(BrokenPipeError):
                        there.stdin.write(json.dumps(question).encode() + b"\n")
                    if not (line := there.stdout.readline()):
                        said.seek(0)
                        raise SystemExit(f"ask.py has ended:\n{said.read().decode()}")
                    yield json.loads(line)
            finally:
                # What runs there ends when it has nothing more to read, or when nobody reads its answer.
                there.terminate()


@contextmanager
def told(what: str, how_far: Callable[[], str] = str, pause: float = 10) -> Iterator[None]:
    """Say every ten seconds that this is going on, and at its end how long it took."""
    began, over = time.monotonic(), threading.Event()

    def tell() -> None:
        while not over.wait(pause):
            say(f"  {what}: {time.monotonic() - began:.0f} s {how_far()}")

    threading.Thread(target=tell, daemon=True).start()
    try:
        yield
    finally:
        over.set()
    say(f"{what}: {time.monotonic() - began:.0f} s in all")


def say(text: str) -> None:
    """Say how far it is."""
    print(text, file=sys.stderr, flush=True)

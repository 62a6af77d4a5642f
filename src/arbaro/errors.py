# SPDX-License-Identifier: Apache-2.0
"""What can go wrong, said so that a person knows what to do next: what failed, likely why, what to type."""

import signal
from collections.abc import Sequence

EXIT_OK = 0
EXIT_WARNING = 1
EXIT_FAILURE = 2


class ArbaroError(Exception):
    """Something failed for a reason that the user can act on."""

    def __init__(self, what: str, *, why: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.hint = hint

    def __str__(self) -> str:
        return "\n".join(part for part in (self.what, self.why) if part)


class CommandError(ArbaroError):
    """A command ended with a non-zero code, could not be started, or took longer than its `limit` of seconds."""

    def __init__(self, argv: Sequence[str], *, where: str, code: int, output: str, limit: float | None = None) -> None:
        self.argv = tuple(argv)
        self.code = code
        self.output = output
        self.timed_out = limit is not None
        command = " ".join(argv)
        shown = command if len(command) <= 160 else command[:157] + "..."
        tail = "\n".join(output.strip().splitlines()[-12:])
        ended = _how_it_ended(code) if limit is None else f"took more than {limit:g} s and was ended"
        super().__init__(f"On {where}, `{shown}` {ended}.", why=tail)


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    if code == -signal.SIGKILL:
        return "was ended by SIGKILL (not by arbaro; the kernel does this when memory runs out)"
    return f"was ended by {signal.Signals(-code).name}"


class WaitTimeout(ArbaroError):
    """A wait ran out of time; `why` holds the last state seen."""

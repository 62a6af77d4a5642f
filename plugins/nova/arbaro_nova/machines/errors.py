# SPDX-License-Identifier: Apache-2.0
"""What may go wrong at the API, and how much of it a user is told: nova keeps 255 characters of a fault."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

#: What remains of nova's 255 after "Build of instance UUID aborted: ".
ROOM = 187
#: Another machine would fail in the same way.
OF_THE_IMAGE = frozenset({"image-unreachable", "image-refused", "checksum-wrong", "image-unusable", "disk-too-small"})
#: Refusals that are about this one machine.
OF_THE_MACHINE = frozenset({"illegal-move", "in-maintenance", "not-found", "busy", "stale-revision"})


class ApiError(Exception):
    """The API did not do what it was asked; the text is for users."""

    #: Whether another machine may do.
    elsewhere = False


class ApiSilent(ApiError):
    """No answer, or none from the API itself, in spite of several attempts."""


class ApiRefused(ApiError):
    """The API answered that it will not."""

    def __init__(self, status: int, code: str, message: str, next_step: str = ""):
        """Take the answer's parts."""
        super().__init__(told(message, next_step))
        self.status, self.code = status, code
        self.elsewhere = code in OF_THE_MACHINE

    @classmethod
    def of(cls, answer) -> ApiRefused:
        """Read an answer; one without the API's form (a proxy's, say) is told by its status."""
        try:
            error = answer.json()["error"]
            return cls(answer.status_code, error["code"], error["message"], error.get("next_step") or "")
        except (ValueError, KeyError, TypeError):
            return cls(answer.status_code, "unknown", f"The machines API answered {answer.status_code}")


class MachineFailed(ApiError):
    """The machine is not what it was to become."""

    def __init__(self, text: str, elsewhere: bool = True):
        """Say why, and whether another machine may do."""
        super().__init__(text)
        self.elsewhere = elsewhere


def failure(name: str, fault: Mapping[str, Any] | None, doing: str) -> MachineFailed:
    """Make what the API says of a failed machine into an error."""
    if not fault:
        return MachineFailed(f"{name}: {doing} did not succeed, and the machines API does not say why.")
    text = told(f"{name}: {fault['code']}: {fault.get('cause') or doing}", fault.get("next_step") or "")
    return MachineFailed(text, elsewhere=fault["code"] not in OF_THE_IMAGE)


def told(cause: str, next_step: str, room: int = ROOM) -> str:
    """Join cause and next step; if they are too long, neither loses all."""
    cause = cause.rstrip(". ")
    if len(cause) + len(next_step) + 2 > room:
        cause = textwrap.shorten(cause, max(room - len(next_step) - 2, room * 3 // 5), placeholder="…")
        next_step = textwrap.shorten(next_step, max(room - len(cause) - 2, 1), placeholder="…")
    return f"{cause}. {next_step}" if next_step else f"{cause}."

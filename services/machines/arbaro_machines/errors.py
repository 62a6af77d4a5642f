# SPDX-License-Identifier: Apache-2.0
"""What the API refuses: status, code, message and what to do next."""

from typing import Final

#: Code → HTTP status.
STATUS: Final = {
    "bad-request": 422,
    "no-token": 401,
    "forbidden": 403,
    "over-quota": 403,
    "not-found": 404,
    "illegal-move": 409,
    "in-maintenance": 409,
    "not-enough": 409,
    "reservation-used": 409,
    "name-taken": 409,
    "mac-taken": 409,
    "no-console": 409,
    "busy": 409,
    "stale-revision": 412,
    "no-revision": 428,
    "no-identity": 503,
    "no-glance": 503,
    "no-database": 503,
}


class Refusal(Exception):
    """A request that is not done, and why."""

    def __init__(self, code: str, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.next_step = next_step

    @property
    def status(self) -> int:
        """The HTTP status."""
        return STATUS[self.code]

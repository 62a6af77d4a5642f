# SPDX-License-Identifier: Apache-2.0
"""Who asks, and what they may."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Caller:
    """A user with a role in a project, as keystone vouches for it."""

    user_id: str
    user: str
    project_id: str | None
    reader: bool = False
    member: bool = False
    operator: bool = False
    request_id: str = ""

    @property
    def by(self) -> dict[str, Any]:
        """How events name them."""
        return {"user_id": self.user_id, "user": self.user, "project_id": self.project_id}

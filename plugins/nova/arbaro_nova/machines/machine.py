# SPDX-License-Identifier: Apache-2.0
"""A machine as far as nova cares, made of the API's document; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Held, and its disk is what its server runs from.
IN_USE = frozenset({"active", "rescuing", "rescued", "unrescuing", "rescue-failed"})


@dataclass(frozen=True)
class Machine:
    """One answer of the API about one machine; `macs` begins with the interface that it boots from."""

    id: str
    name: str
    revision: int
    state: str
    power: str = "unknown"
    maintenance: bool = False
    resource_class: str | None = None
    room: str = ""
    rack: str = ""
    server_id: str | None = None
    cpu_arch: str | None = None
    macs: tuple[str, ...] = ()
    task: str | None = None
    fault: Mapping[str, Any] | None = None
    deployed_at: str | None = None
    updated_at: str | None = None

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Machine:
        """Read the API's document."""
        interfaces = sorted(document.get("interfaces") or (), key=lambda interface: not interface.get("boot"))
        return cls(
            id=document["id"],
            name=document["name"],
            revision=document["revision"],
            state=document["state"],
            power=document.get("power") or "unknown",
            maintenance=bool(document.get("maintenance")),
            resource_class=document.get("resource_class"),
            room=document.get("room") or "",
            rack=document.get("rack") or "",
            server_id=(document.get("holder") or {}).get("server_id"),
            cpu_arch=(document.get("properties") or {}).get("cpu_arch"),
            macs=tuple(interface["mac"].lower() for interface in interfaces),
            task=(document.get("task") or {}).get("verb"),
            fault=document.get("fault"),
            deployed_at=(document.get("deployment") or {}).get("since"),
            updated_at=document.get("updated_at"),
        )

    @property
    def free(self) -> bool:
        """Whether a new server could have it."""
        return self.state == "available" and not self.maintenance

    def held_for(self, server_id: str) -> bool:
        """Whether this server has it."""
        return self.server_id == server_id

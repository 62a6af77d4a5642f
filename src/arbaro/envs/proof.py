# SPDX-License-Identifier: Apache-2.0
"""Whether a cloud really refuses to write: each service is asked to, with the limited credential and a made-up id.

To delete what does not exist changes nothing. A service that enforces access rules answers 401 or 403 before it looks;
one that does not answers 404.
"""

import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from arbaro.envs.environment import Environment
from arbaro.errors import ArbaroError

if TYPE_CHECKING:
    from keystoneauth1.session import Session

#: Service type → what it is called, what to read, what to try to delete.
PROBES = {
    "compute": ("nova", "/servers?limit=1", "/servers/{id}"),
    "network": ("neutron", "/v2.0/networks?limit=1", "/v2.0/networks/{id}"),
    "image": ("glance", "/v2/images?limit=1", "/v2/images/{id}"),
    "volumev3": ("cinder", "/volumes?limit=1", "/volumes/{id}"),
    "block-storage": ("cinder", "/volumes?limit=1", "/volumes/{id}"),
}


@dataclass(frozen=True)
class Verdict:
    """What a service did with the limited credential: HTTP codes of reading and of writing."""

    service: str
    read: int
    write: int

    @property
    def holds(self) -> bool:
        """Say whether it lets read and refuses to write."""
        return self.read < 400 and self.write in (401, 403)

    @property
    def why(self) -> str:
        """What is wrong, in a sentence."""
        if self.write not in (401, 403):
            return f"{self.service} does not refuse to write (it answered {self.write})."
        return (
            f"{self.service} refuses even to read (it answered {self.read}): "
            f"its [keystone_authtoken] lacks service_type, or its policy is stricter."
        )


def prove(session: "Session", region: str | None) -> list[Verdict]:
    """Ask all services of the catalog that we know, side by side."""
    catalog = session.auth.get_access(session).service_catalog  # type: ignore[union-attr]
    there = [kind for kind in PROBES if catalog.get_endpoints(service_type=kind, region_name=region)]
    if not there:
        return []
    with ThreadPoolExecutor(len(there)) as pool:
        return list(pool.map(lambda kind: _probe(session, kind, region), there))


def _probe(session: "Session", kind: str, region: str | None) -> Verdict:
    name, reading, writing = PROBES[kind]

    def code(method: str, path: str) -> int:
        base = session.get_endpoint(service_type=kind, region_name=region, interface="public") or ""
        url = base.rstrip("/").removesuffix("/v2.0" if kind == "network" else "/v2") + path
        # A refusal is an answer here; logging in again would give the same one.
        return int(session.request(url, method, raise_exc=False, allow_reauth=False, redirect=False).status_code)

    return Verdict(name, code("GET", reading), code("DELETE", writing.format(id=uuid.uuid4())))


def unenforced(environment: Environment, why: str) -> ArbaroError:
    """The error that says so instead of pretending."""
    return ArbaroError(
        f"{environment.name} cannot enforce read-only, so this shell was not moved there.",
        why=why,
        hint=f"Set service_type in each service's [keystone_authtoken], or: arbaro env use {environment.name} --write",
    )

# SPDX-License-Identifier: Apache-2.0
"""Whether a cloud really refuses to write: each service is asked to, with the limited credential and a made-up id.

To delete what does not exist changes nothing. A service that enforces access rules answers 401 or 403 before it looks;
one that does not answers 404. One that is down can neither be tried nor written to, and must not keep people out.
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
    "placement": ("placement", "/resource_providers?name=x", "/resource_providers/{id}"),
    "object-store": ("swift", "?limit=1", "/arbaro-{id}"),
    "orchestration": ("heat", "/stacks?limit=1", "/stacks/{id}"),
    "load-balancer": ("octavia", "/v2/lbaas/loadbalancers?limit=1", "/v2/lbaas/loadbalancers/{id}"),
    "dns": ("designate", "/v2/zones?limit=1", "/v2/zones/{id}"),
    "key-manager": ("barbican", "/v1/secrets?limit=1", "/v1/secrets/{id}"),
    "identity": ("keystone", "/v3/auth/projects", "/v3/projects/{id}"),
}
#: Before 2023.2 (keystone 24) it hands the rules out, but goes on where its own middleware has refused
#: (keystone/server/flask/request_processing/middleware/auth_context.py). That must be said, and can keep nobody out.
_KNOWN_TO_LET_THROUGH = ("keystone",)
_REFUSED = (401, 403)
_NO_ANSWER = 0


@dataclass(frozen=True)
class Verdict:
    """What a service did with the limited credential: HTTP codes of reading and of writing (0: it did not answer)."""

    service: str
    read: int
    write: int

    @property
    def wrong(self) -> str:
        """A sentence if it does not refuse to write, or refuses even to read; else empty."""
        if self.untried or self.unguarded:
            return ""
        if self.write not in _REFUSED:
            return f"{self.service} does not refuse to write (it answered {self.write})."
        if self.read in _REFUSED:
            return (
                f"{self.service} refuses even to read (it answered {self.read}): its [keystone_authtoken] lacks "
                "service_type, or its policy is stricter."
            )
        return ""

    @property
    def untried(self) -> bool:
        """Say whether nothing could be found out, because the service is down or unknown to us."""
        return self.write == _NO_ANSWER or self.write >= 500

    @property
    def unguarded(self) -> bool:
        """Say whether this is a service that is known not to refuse."""
        return self.service in _KNOWN_TO_LET_THROUGH and not self.untried and self.write not in _REFUSED


def prove(session: "Session", region: str | None) -> list[Verdict]:
    """Ask all services of the catalog side by side; those that we don't know how to ask count as untried."""
    access = session.auth.get_access(session)  # type: ignore[union-attr]
    kinds = list(access.service_catalog.get_endpoints(region_name=region))
    unknown = [Verdict(kind, _NO_ANSWER, _NO_ANSWER) for kind in kinds if kind not in PROBES]
    known = [kind for kind in kinds if kind in PROBES]
    if not known:
        return unknown
    with ThreadPoolExecutor(len(known)) as pool:
        return [*pool.map(lambda kind: _probe(session, kind, region), known), *unknown]


def _probe(session: "Session", kind: str, region: str | None) -> Verdict:
    name, reading, writing = PROBES[kind]
    return Verdict(
        name,
        _code(session, kind, region, "GET", reading),
        _code(session, kind, region, "DELETE", writing.format(id=uuid.uuid4())),
    )


def _code(session: "Session", kind: str, region: str | None, method: str, path: str) -> int:
    from keystoneauth1.exceptions import ClientException

    # Catalogs give some services with their version and some without.
    version = "/" + path.split("/")[1] if path.startswith("/v") else "/"
    try:
        base = session.get_endpoint(service_type=kind, region_name=region, interface="public") or ""
        url = base.rstrip("/").removesuffix(version) + path
        # A refusal is an answer here; logging in again would give the same one.
        answer = session.request(url, method, raise_exc=False, allow_reauth=False, redirect=False, connect_retries=0)
        return int(answer.status_code)
    except ClientException:
        return _NO_ANSWER


def unenforced(environment: Environment, why: str) -> ArbaroError:
    """The error that says so instead of pretending."""
    return ArbaroError(
        f"{environment.name} cannot enforce read-only, so this shell was not moved there.",
        why=why,
        hint=f"Set service_type in each service's [keystone_authtoken], or: arbaro env use {environment.name} --write",
    )

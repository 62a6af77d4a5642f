# SPDX-License-Identifier: Apache-2.0
"""Short-lived credentials: keystone application credentials that only read, or that end by themselves.

The limit is keystone's and the services' own (access rules, since Train), so it holds for any client:
https://docs.openstack.org/keystone/latest/user/application_credentials.html#access-rules
"""

import os
import re
import socket
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from arbaro import cloudsfile
from arbaro.envs import clouds, files, vault, views
from arbaro.envs.environment import OURS, Environment
from arbaro.envs.proof import Verdict, prove, unenforced
from arbaro.envs.switch import PLAIN, READ_ONLY, SESSION, WRITE, Place
from arbaro.envs.translate import AUTH
from arbaro.errors import ArbaroError

if TYPE_CHECKING:
    from keystoneauth1.session import Session

#: How long a credential lasts, seconds. Writing is short on purpose; the others last a working day.
LIFETIMES = {READ_ONLY: 10 * 3600, SESSION: 10 * 3600, WRITE: 30 * 60}
#: A service may be told to go by one of several names for its type, and a rule names it exactly.
_ALSO_KNOWN_AS = {
    "block-storage": ("volumev3", "volumev2", "volume", "block-store"),
    "volumev3": ("block-storage", "volumev2", "volume", "block-store"),
    "sharev2": ("shared-file-system", "share"),
    "shared-file-system": ("sharev2", "share"),
}


@dataclass(frozen=True)
class Made:
    """An application credential as keystone answered, and until when it lasts (epoch)."""

    id: str
    secret: str
    until: int
    verdicts: tuple[Verdict, ...] = ()


def read_only_rules(service_types: Iterable[str]) -> list[dict[str, str]]:
    """Access rules that let everything be looked at and nothing be changed, in the services of a catalog."""
    types = {name for kind in service_types for name in (kind, *_ALSO_KNOWN_AS.get(kind, ()))}
    return [
        {"service": kind, "method": method, "path": "/**"}
        for kind in sorted(types | {"identity"})
        # Keystone takes no other characters here; such a service stays closed.
        if re.fullmatch(r"[A-Za-z0-9-]{1,64}", kind)
        for method in ("GET", "HEAD")
    ]


def take(environment: Environment, mode: str, project: str = "") -> Place:
    """Get a credential from keystone and keep it in its own file (0600). Raises ArbaroError if it would not hold."""
    from arbaro.openstack import cloud_session, keystone_errors

    entry = clouds.entry(environment)
    if not entry["auth"].get("auth_url"):
        raise ArbaroError(
            f"{environment.name} is used without keystone, and only keystone makes a credential for {mode}.",
            hint=f"arbaro env use {environment.name} --{PLAIN} uses it as it is",
        )
    entry["auth"] = {**entry["auth"], **vault.secret_of(environment, entry)}
    with keystone_errors(environment.name, entry["auth"].get("auth_url", "")):
        session = cloud_session(environment.cloud, entry, region=environment.os_region, project=project)
        made = _make(session, environment, entry, mode)
        remember_projects(session, environment)
    path = views.view_file(environment, mode, project)
    text = views.view_text(environment.cloud, _limited(entry, made), until=made.until, mode=mode, credential=made.id)
    cloudsfile.replace(path, text, private=True, keep_old=False)
    untried = tuple(verdict.service for verdict in made.verdicts if verdict.untried)
    unguarded = tuple(verdict.service for verdict in made.verdicts if verdict.unguarded)
    return Place(environment, mode, path, path, made.until, project, untried, unguarded)


def remember_projects(session: "Session", environment: Environment) -> None:
    """Keep the names of the projects that the user may enter, for completion."""
    keystone = str(session.auth.get_endpoint(session, service_type="identity", interface="public"))  # type: ignore[union-attr]
    reply = session.get(f"{_v3(keystone)}/auth/projects", raise_exc=False)
    names = sorted(project["name"] for project in reply.json().get("projects", ())) if reply.ok else []
    path = files.projects_dir() / environment.name.replace("/", "_")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.write_text("".join(f"{name}\n" for name in names))


def _make(session: "Session", environment: Environment, entry: Mapping[str, Any], mode: str) -> Made:
    access = session.auth.get_access(session)  # type: ignore[union-attr]
    _refuse_restricted(access, environment)
    keystone = str(session.auth.get_endpoint(session, service_type="identity", interface="public"))  # type: ignore[union-attr]
    url = f"{_v3(keystone)}/users/{access.user_id}/application_credentials"
    _sweep(session, url)
    until = int(time.time()) + LIFETIMES[mode]
    wanted: dict[str, Any] = {
        # Unique, and so named that a person sees whose it is, and that we find ours again.
        "name": f"{_mark()}{mode}-{uuid.uuid4().hex[:12]}",
        "description": f"arbaro env use {environment.name} --{mode}",
        "expires_at": datetime.fromtimestamp(until, UTC).strftime("%Y-%m-%dT%H:%M:%S.000000"),
    }
    if mode == READ_ONLY:
        types = [service["type"] for service in access.service_catalog.catalog]
        wanted["access_rules"] = read_only_rules(types)
    reply = session.post(url, json={"application_credential": wanted}).json()["application_credential"]
    made = Made(reply["id"], reply["secret"], until)
    if mode != READ_ONLY:
        return made
    try:
        return _proven(made, reply, environment, entry)
    except BaseException:
        # A credential that does not hold what it promises must not stay.
        session.delete(f"{url}/{made.id}")
        raise


def _proven(made: Made, reply: Mapping[str, Any], environment: Environment, entry: Mapping[str, Any]) -> Made:
    from arbaro.openstack import cloud_session

    if not reply.get("access_rules"):
        raise unenforced(environment, "Its keystone knows no access rules (they came with Train).")
    session = cloud_session(environment.cloud, _limited(entry, made), region=environment.os_region)
    verdicts = prove(session, environment.region or None)
    if wrong := [verdict.wrong for verdict in verdicts if verdict.wrong]:
        raise unenforced(environment, "\n".join(wrong))
    return Made(made.id, made.secret, made.until, tuple(verdicts))


def _refuse_restricted(access: Any, environment: Environment) -> None:
    if access.application_credential_id:
        raise ArbaroError(
            f"The credential of {environment.name} is an application credential, and such a one makes no others.",
            hint=f"arbaro env use {environment.name} --{PLAIN} uses it as it is",
        )


def _sweep(session: "Session", url: str) -> None:
    """Delete the credentials that we made earlier and that are over; keystone keeps them for ever otherwise."""
    now = datetime.now(UTC).replace(tzinfo=None).isoformat()
    for old in session.get(url).json()["application_credentials"]:
        if old["name"].startswith(_mark()) and (old.get("expires_at") or "9") < now:
            session.delete(f"{url}/{old['id']}")


def _mark() -> str:
    return f"arbaro-{socket.gethostname()}-{os.getuid()}-"


def _v3(endpoint: str) -> str:
    # Catalogs name keystone with its version and without.
    bare = endpoint.rstrip("/")
    return bare if bare.endswith("/v3") else f"{bare.removesuffix('/v2.0')}/v3"


def _limited(entry: Mapping[str, Any], made: Made) -> dict[str, Any]:
    """The same cloud with the application credential as its only way in."""
    # openstacksdk takes credentials from outside `auth` as well.
    rest = {key: value for key, value in entry.items() if key not in ("auth", "auth_type", OURS, *AUTH)}
    credential = {"application_credential_id": made.id, "application_credential_secret": made.secret}
    return {
        **rest,
        "auth_type": "v3applicationcredential",
        "auth": {"auth_url": entry["auth"]["auth_url"], **credential},
    }

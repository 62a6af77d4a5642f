# SPDX-License-Identifier: Apache-2.0
"""What `env check` looks at: files and their modes, each keystone's door, its certificate, a login."""

import socket
import ssl
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from arbaro import cloudsfile
from arbaro.cloudspaths import clouds_file, secure_file
from arbaro.envs import clouds, files, vault
from arbaro.envs.environment import Environment
from arbaro.errors import ArbaroError

#: Nobody waits longer for one dead endpoint, seconds.
PATIENCE = 10


@dataclass(frozen=True)
class Seen:
    """What was seen of one environment. Empty sentences mean that all is well; times are in days from now."""

    name: str
    auth_url: str = ""
    door: str = ""
    certificate_days: float | None = None
    login: str = ""
    credential_days: float | None = None
    no_cacert: str = ""
    #: Why openstacksdk cannot use the entry.
    fault: str = ""


@dataclass(frozen=True)
class Evidence:
    """All that the checks judge. `modes`: file → mode; `open_secrets`: environments with a secret in clouds.yaml."""

    clouds_file: str
    modes: dict[str, int] = field(default_factory=dict)
    open_secrets: tuple[str, ...] = ()
    orphans: tuple[str, ...] = ()
    twins: tuple[tuple[str, ...], ...] = ()
    strays: tuple[str, ...] = ()
    caches_tokens: bool = True
    environments: tuple[Seen, ...] = ()


def collect(environments: Sequence[Environment]) -> Evidence:
    """Look at the files, then at all environments side by side."""
    entries, secrets = cloudsfile.load(clouds_file()), cloudsfile.load(secure_file())
    known = clouds.load_environments()
    paths = [clouds_file(), secure_file(), *files.views_dir().glob("*.yaml")]
    paths += [path.with_name(path.name + "~") for path in paths[:2]]
    with ThreadPoolExecutor(min(16, max(len(environments), 1))) as pool:
        seen = tuple(pool.map(look, environments))
    return Evidence(
        clouds_file=str(clouds_file()),
        modes={str(path): path.stat().st_mode & 0o777 for path in paths if path.exists()},
        open_secrets=tuple(str(name) for name, entry in entries.items() if _holds_secret(entry)),
        # An entry may also stand in secure.yaml as a whole.
        orphans=tuple(str(name) for name in secrets if str(name) not in {one.cloud for one in known}),
        twins=_twins(known),
        strays=_strays(),
        caches_tokens=clouds.caches_tokens(),
        environments=seen,
    )


def _strays() -> tuple[str, ...]:
    """The files in this directory that clients would take before the person's own."""
    names = [f"{stem}{suffix}" for stem in ("clouds", "secure") for suffix in (".yaml", ".yml", ".json")]
    found = [Path(name).absolute() for name in names if Path(name).exists()]
    return tuple(str(path) for path in found if path not in (clouds_file(), secure_file()))


def _holds_secret(entry: Any) -> bool:
    from arbaro.envs.translate import SECRETS

    auth = entry.get("auth") if isinstance(entry, dict) else None
    keys = [*entry, *(auth if isinstance(auth, dict) else ())] if isinstance(entry, dict) else []
    return any(str(key).replace("-", "_") in SECRETS for key in keys)


def _twins(environments: Sequence[Environment]) -> tuple[tuple[str, ...], ...]:
    """Names that lead to one and the same place: all of their entries is equal, but for secrets and our marks."""
    from arbaro.envs import sdk
    from arbaro.envs.translate import SECRETS

    place: dict[str, str] = {}
    reader = sdk.Clouds()
    for env in environments:
        if env.auth_url and not env.fault:
            entry = reader.entry(env)
            auth = {key: str(value).rstrip("/") for key, value in entry["auth"].items() if key not in SECRETS}
            kinds = {key: str(value) for key, value in entry.items() if key in ("auth_type", "region_name", "endpoint")}
            place[env.name] = repr(sorted((auth | kinds).items()))
    several = [where for where, count in Counter(place.values()).items() if count > 1]
    return tuple(tuple(name for name, there in place.items() if there == where) for where in several)


def look(environment: Environment) -> Seen:
    """Knock at an environment's keystone, look at its certificate, log in; each only if the one before went well."""
    if environment.fault:
        return Seen(environment.name, fault=environment.fault)
    entry = clouds.entry(environment)
    cacert = str(entry.get("cacert") or "")
    missing = cacert if cacert and not Path(cacert).expanduser().exists() else ""
    url = environment.auth_url
    if not url:
        # A vendor's profile knows it; openstacksdk will find it at login.
        return Seen(environment.name, login=_login(environment, entry)[0], no_cacert=missing)
    if missing:
        return Seen(environment.name, url, no_cacert=missing)
    door, days = _knock(url, cacert, entry.get("verify", True) is not False and not entry.get("insecure"))
    if door:
        return Seen(environment.name, url, door=door, certificate_days=days)
    login, credential = _login(environment, entry)
    return Seen(environment.name, url, certificate_days=days, login=login, credential_days=credential)


def _knock(url: str, cacert: str, verify: bool) -> tuple[str, float | None]:
    parts = urlsplit(url)
    try:
        address = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        with socket.create_connection(address, timeout=PATIENCE) as plain:
            if parts.scheme != "https" or not verify:
                return "", None
            context = ssl.create_default_context(cafile=str(Path(cacert).expanduser()) if cacert else None)
            with context.wrap_socket(plain, server_hostname=parts.hostname) as tls:
                ends = str((tls.getpeercert() or {}).get("notAfter"))
                return "", (ssl.cert_time_to_seconds(ends) - time.time()) / 86400
    except ssl.SSLCertVerificationError as error:
        return (
            f"its certificate is refused: {error.verify_message}",
            -1.0 if "expired" in error.verify_message else None,
        )
    except (OSError, ValueError) as error:
        return f"it does not answer: {error}", None


def _login(environment: Environment, entry: dict[str, Any]) -> tuple[str, float | None]:
    """Log in; says why not, and in how many days an application credential ends."""
    from keystoneauth1.exceptions import ClientException
    from openstack.exceptions import SDKException

    from arbaro.openstack import cloud_session

    if environment.secret == "asked":
        return "", None
    try:
        entry["auth"] = {**entry["auth"], **vault.secret_of(environment, entry)}
        session = cloud_session(environment.cloud, entry, region=environment.os_region)
        session.timeout = PATIENCE
        if not hasattr(session.auth, "get_access"):
            # Without keystone there is nobody to log in to.
            return "", None
        access = session.auth.get_access(session)  # type: ignore[union-attr]
        return "", _credential_days(session, access)
    except ArbaroError as error:
        return error.what, None
    except (ClientException, SDKException) as error:
        return (str(error).splitlines() or [type(error).__name__])[0], None


def _credential_days(session: Any, access: Any) -> float | None:
    from datetime import UTC, datetime

    if not access.application_credential_id:
        return None
    base = session.auth.get_endpoint(session, service_type="identity", interface="public").rstrip("/")
    mine = f"users/{access.user_id}/application_credentials/{access.application_credential_id}"
    url = f"{base.removesuffix('/v3')}/v3/{mine}"
    reply = session.get(url, raise_exc=False)
    ends = reply.json().get("application_credential", {}).get("expires_at") if reply.ok else None
    if not ends:
        return None
    return (datetime.fromisoformat(ends).replace(tzinfo=UTC).timestamp() - time.time()) / 86400

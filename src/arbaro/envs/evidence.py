# SPDX-License-Identifier: Apache-2.0
"""What `env check` looks at: files and their modes, each keystone's door, its certificate, a login."""

import socket
import ssl
import time
from collections import Counter
from collections.abc import Sequence
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from arbaro import cloudsfile
from arbaro.cloudspaths import clouds_file, secure_file
from arbaro.envs import clouds, files, vault
from arbaro.envs.environment import Environment
from arbaro.errors import ArbaroError
from arbaro.evidence import Evidence, Seen
from arbaro.runs import current_run

#: Nobody waits longer for one dead endpoint, seconds.
PATIENCE = 10


def collect(environments: Sequence[Environment]) -> Evidence:
    """Look at the files, then at all environments side by side."""
    seen = current_run().side_by_side(look, environments, at_once=16) if environments else []
    return reduce(or_, seen, _of_files())


def _of_files() -> Evidence:
    """The files with entries and secrets: their modes, and how what is in them fits together."""
    at, about = time.time(), str(clouds_file())
    entries, secrets = cloudsfile.load(clouds_file()), cloudsfile.load(secure_file())
    known = clouds.load_environments()
    open_secrets = [str(name) for name, entry in entries.items() if _holds_secret(entry)]
    facts = {
        "secrets in clouds.yaml": open_secrets,
        # An entry may also stand in secure.yaml as a whole.
        "secrets of nobody": [str(name) for name in secrets if str(name) not in {one.cloud for one in known}],
        "names of one place": _twins(known),
        "files in this directory": _strays(),
        "cache of tokens": clouds.caches_tokens() or not known,
    }
    modes = {str(path): {"mode": Seen(path.stat().st_mode & 0o777, at)} for path in _private(bool(open_secrets))}
    seen = Evidence(
        about, {about: {what: Seen(value, at) for what, value in facts.items()}}, {about: dict.fromkeys(facts)}
    )
    return seen | Evidence(about, modes, {path: {"mode": 0o600} for path in modes})


def _private(open_secrets: bool) -> list[Path]:
    """The files that hold secrets; clouds.yaml only if somebody has put one there."""
    paths = [secure_file(), *files.views_dir().glob("*.yaml"), *([clouds_file()] if open_secrets else [])]
    old = [path.with_name(path.name + "~") for path in paths]
    return [path for path in (*paths, *old) if path.exists()]


def _strays() -> list[str]:
    """The files in this directory that clients would take before the person's own."""
    names = [f"{stem}{suffix}" for stem in ("clouds", "secure") for suffix in (".yaml", ".yml", ".json")]
    found = [Path(name).absolute() for name in names if Path(name).exists()]
    return [str(path) for path in found if path not in (clouds_file(), secure_file())]


def _holds_secret(entry: Any) -> bool:
    from arbaro.envs.translate import SECRETS

    auth = entry.get("auth") if isinstance(entry, dict) else None
    keys = [*entry, *(auth if isinstance(auth, dict) else ())] if isinstance(entry, dict) else []
    return any(str(key).replace("-", "_") in SECRETS for key in keys)


def _twins(environments: Sequence[Environment]) -> list[list[str]]:
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
    return [[name for name, there in place.items() if there == where] for where in several]


def look(environment: Environment) -> Evidence:
    """Knock at an environment's keystone, look at its certificate, log in; each only if the one before went well."""
    facts: dict[str, Seen] = {"entry": Seen(environment.fault, time.time())}
    if not environment.fault:
        entry = clouds.entry(environment)
        cacert = str(entry.get("cacert") or "")
        missing = cacert if cacert and not Path(cacert).expanduser().exists() else ""
        facts["CA file"] = Seen(missing, time.time())
        facts |= _look_there(environment, entry, missing)
    wanted = dict.fromkeys(facts) | {"URL": environment.auth_url}
    return Evidence(str(clouds_file()), {environment.name: facts}, {environment.name: wanted})


def _look_there(environment: Environment, entry: dict[str, Any], missing_ca: str) -> dict[str, Seen]:
    url, facts = environment.auth_url, {}
    # Where there is no URL, a vendor's profile knows it; openstacksdk will find it at login.
    if url and not missing_ca:
        verify = entry.get("verify", True) is not False and not entry.get("insecure")
        door, days = _knock(url, str(entry.get("cacert") or ""), verify)
        facts["keystone"] = Seen(door, time.time())
        if days is not None:
            facts["days of the certificate"] = Seen(days, time.time())
    if url and (missing_ca or facts["keystone"].value):
        return facts | {"login": Seen(error="keystone was not reached")}
    return facts | _login(environment, entry)


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


def _login(environment: Environment, entry: dict[str, Any]) -> dict[str, Seen]:
    """Log in: says why not, and in how many days an application credential ends. Nobody is asked for a password."""
    from keystoneauth1.exceptions import ClientException, ConnectFailure
    from openstack.exceptions import SDKException

    from arbaro.openstack import cloud_session

    if environment.secret == "asked":
        return {}
    try:
        entry["auth"] = {**entry["auth"], **vault.secret_of(environment, entry)}
        session = cloud_session(environment.cloud, entry, region=environment.os_region)
        session.timeout = PATIENCE
        if not hasattr(session.auth, "get_access"):
            # Without keystone there is nobody to log in to.
            return {}
        access = session.auth.get_access(session)  # type: ignore[union-attr]
        days = _credential_days(session, access)
        ends = {} if days is None else {"days of the credential": Seen(days, time.time())}
        return {"login": Seen("", time.time()), **ends}
    except ArbaroError as error:
        return {"login": Seen(error.what, time.time())}
    except ConnectFailure as error:
        return {"login": Seen(at=time.time(), error=_first_line(error))}
    except (ClientException, SDKException) as error:
        return {"login": Seen(_first_line(error), time.time())}


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


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

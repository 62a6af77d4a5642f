# SPDX-License-Identifier: Apache-2.0
"""Between openrc and clouds.yaml, both ways without loss: OS_SOME_THING is `some_thing`, as openstacksdk reads it."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from arbaro.envs.environment import OURS
from arbaro.envs.openrc import Openrc
from arbaro.errors import ArbaroError

SECRETS = frozenset(
    ("password", "token", "application_credential_secret", "client_secret", "access_token", "passcode", "admin_token")
)
#: What belongs below `auth:`; the options of keystoneauth's plug-ins that openrc files carry.
AUTH = SECRETS | {
    *("auth_url", "username", "user_id", "user_domain_name", "user_domain_id", "system_scope", "trust_id"),
    *("project_name", "project_id", "project_domain_name", "project_domain_id", "tenant_name", "tenant_id"),
    *("domain_name", "domain_id", "default_domain", "default_domain_name", "default_domain_id"),
    *("application_credential_id", "application_credential_name"),
    *("identity_provider", "protocol", "client_id", "discovery_endpoint", "identity_provider_url"),
}
#: These choose among clouds; they are no part of one.
_SELECTORS = {"OS_CLOUD", "OS_CLOUD_NAME", "OS_CLIENT_CONFIG_FILE", "OS_CLIENT_SECURE_FILE"}


def to_entries(found: Openrc, where: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The entries for clouds.yaml and secure.yaml. Raises ArbaroError if the file does not say enough to log in."""
    entry: dict[str, Any] = {"auth": {}}
    secret: dict[str, Any] = {}
    others = {}
    for name, value in found.exported.items():
        key = name.removeprefix("OS_").lower()
        if not name.startswith("OS_"):
            others[name] = value
        elif name in _SELECTORS:
            continue
        elif key in SECRETS:
            secret.setdefault("auth", {})[key] = value
        else:
            (entry["auth"] if key in AUTH else entry)[key] = value
    ours = {"variables": others} if others else {}
    if asked := [name for name in found.asked if name.startswith("OS_")]:
        ours["asked"] = {name: found.asked[name] for name in asked}
    if ours:
        entry[OURS] = ours
    _check(entry["auth"], secret.get("auth", {}), found, where)
    return entry, secret


def _check(auth: Mapping[str, Any], secret: Mapping[str, Any], found: Openrc, where: str) -> None:
    if not auth.get("auth_url"):
        raise ArbaroError(f"{where}, line 1: nothing in this file sets OS_AUTH_URL, so it is half an openrc.")
    who = any(
        auth.get(key) for key in ("username", "user_id", "application_credential_id", "application_credential_name")
    )
    if not who and not secret.get("token") and not auth.get("identity_provider"):
        raise ArbaroError(f"{where}, line 1: nothing in this file says who logs in (OS_USERNAME, OS_TOKEN …).")
    if not secret and not found.asked and not auth.get("identity_provider"):
        raise ArbaroError(f"{where}, line 1: nothing in this file sets OS_PASSWORD or asks for it.")


def to_openrc(name: str, entry: Mapping[str, Any], *, region: str = "") -> str:
    """An openrc for an entry (secrets merged in): what was imported comes out again, variable by variable."""
    ours = entry.get(OURS) or {}
    asked = dict(ours.get("asked") or {})
    values = {f"OS_{key.upper()}": value for key, value in (entry.get("auth") or {}).items()}
    values |= {f"OS_{k.upper()}": v for k, v in entry.items() if k not in ("auth", "regions", OURS)}
    if region:
        values["OS_REGION_NAME"] = region
    values |= dict(ours.get("variables") or {})
    lines = [f"# {name}, written by arbaro env export", "unset OS_CLOUD OS_CLIENT_CONFIG_FILE OS_CLIENT_SECURE_FILE"]
    lines += [
        f"export {key}={shlex.quote(_text(value))}" for key, value in values.items() if _is_flat(value, key, asked)
    ]
    for key, prompt in asked.items():
        lines += [f"printf '%s ' {shlex.quote(prompt or key)} >&2", f"read -sr {key}", f"export {key}"]
    return "\n".join(lines) + "\n"


def _is_flat(value: Any, key: str, asked: Mapping[str, str]) -> bool:
    return not isinstance(value, dict | list) and key not in asked


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def name_of(path: Path, entry: Mapping[str, Any]) -> str:
    """The name that a file speaks of: `prod-1-openrc.sh` → `prod-1`; a bare `openrc` takes its region's name."""
    stem = re.sub(r"\.(sh|rc|openrc|bash|txt)$", "", path.name.lstrip("."), flags=re.IGNORECASE)
    plain = re.sub(r"[-_.]?(keystonerc|openrc|clouds)[-_.]?", "-", stem, flags=re.IGNORECASE).strip("-_. ")
    plain = re.sub(r"[-_.](v[23]|rc)$", "", plain, flags=re.IGNORECASE).replace(" ", "-")
    return plain or str(entry.get("region_name") or entry["auth"].get("project_name") or path.parent.name)

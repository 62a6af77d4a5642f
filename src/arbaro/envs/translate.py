# SPDX-License-Identifier: Apache-2.0
"""Between openrc and clouds.yaml, both ways without loss: OS_SOME_THING is `some_thing`, as openstacksdk reads it."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from arbaro.envs.environment import OURS
from arbaro.envs.openrc import TAKEN, Openrc
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


def safe_name(name: str, path: Path) -> str:
    """An environment's name as it is. Raises ArbaroError for one that nobody could read or type."""
    if name and name.isprintable() and "/" not in name and name == name.strip() and name != "-":
        return name
    wrong = next((f"it contains U+{ord(c):04X}" for c in name if not c.isprintable()), "")
    wrong = wrong or "it is empty, or has a / in it or a blank at its end"
    raise ArbaroError(
        f"{path}: {name!a} cannot be an environment's name: {wrong}.",
        why="Nothing was written.",
        hint="Rename it in the file, or for an openrc: arbaro env import --as NAME FILE",
    )


def refuse_code(entry: Mapping[str, Any], path: Path) -> None:
    """Raises ArbaroError where the part of an entry that is ours names variables that are not only data."""
    ours = entry.get(OURS)
    parts = [ours.get(key) for key in ("variables", "asked")] if isinstance(ours, Mapping) else []
    for name in (name for part in parts if isinstance(part, Mapping) for name in part):
        if not isinstance(name, str) or not TAKEN.fullmatch(name):
            raise ArbaroError(
                f"{path}: {name!a} below `{OURS}:` is not the name of a variable that arbaro takes over.",
                why="Only OS_… and a few names that OpenStack's clients know are.",
                hint=f"Remove it from {path}, then run the same command again.",
            )


def _check(auth: Mapping[str, Any], secret: Mapping[str, Any], found: Openrc, where: str) -> None:
    if not auth.get("auth_url"):
        raise ArbaroError(f"{where}, line 1: nothing in this file sets OS_AUTH_URL, so it is half an openrc.")
    keys = ("username", "user_id", "application_credential_id", "application_credential_name")
    who = any(auth.get(key) or f"OS_{key.upper()}" in found.asked for key in keys)
    if not who and not secret.get("token") and not auth.get("identity_provider"):
        raise ArbaroError(f"{where}, line 1: nothing in this file says who logs in (OS_USERNAME, OS_TOKEN …).")
    if not secret and not found.asked and not auth.get("identity_provider"):
        raise ArbaroError(f"{where}, line 1: nothing in this file sets OS_PASSWORD or asks for it.")


def to_openrc(name: str, entry: Mapping[str, Any], *, region: str = "") -> str:
    """An openrc for an entry (secrets merged in): what was imported comes out again, variable by variable."""
    refuse_code(entry, Path(name))
    ours = entry.get(OURS) or {}
    asked = dict(ours.get("asked") or {})
    values = {_variable(key): value for key, value in (entry.get("auth") or {}).items()}
    values |= {_variable(k): v for k, v in entry.items() if k not in ("auth", "regions", OURS)}
    if region:
        values["OS_REGION_NAME"] = region
    values |= dict(ours.get("variables") or {})
    lines = [f"# {name!a}, written by arbaro env export", "unset OS_CLOUD OS_CLIENT_CONFIG_FILE OS_CLIENT_SECURE_FILE"]
    lines += [f"export {key}={_quoted(_text(value))}" for key, value in values.items() if _is_flat(value, key, asked)]
    for key, prompt in asked.items():
        hidden = "s" if key.removeprefix("OS_").lower() in SECRETS else ""
        lines += [f"printf '%s ' {_quoted(prompt or key)} >&2", f"read -{hidden}r {key}", f"export {key}"]
    return "\n".join(lines) + "\n"


def _variable(key: Any) -> str:
    """The variable of a key: openstacksdk takes dashes for underscores."""
    name = f"OS_{str(key).replace('-', '_').upper()}"
    if not re.fullmatch(r"OS_[A-Z0-9_]+", name, re.ASCII):
        raise ArbaroError(f"The key {str(key)!a} cannot be a variable, so this entry cannot be an openrc.")
    return name


def _quoted(text: str) -> str:
    """A word for bash; what would act on a terminal is written as an escape."""
    if not re.search(r"[\x00-\x1f\x7f]", text):
        return shlex.quote(text)
    # Backslashes and quotes too: then no reader needs to know where a quoted backslash ends.
    return "$'" + re.sub(r"[\x00-\x1f\x7f\\']", lambda match: f"\\x{ord(match[0]):02x}", text) + "'"


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

# SPDX-License-Identifier: Apache-2.0
"""The secrets that are not in secure.yaml: those in the system's keyring, and those that a person is asked for."""

import contextlib
import getpass
import sys
from collections.abc import Mapping
from typing import Any

import click

from arbaro.envs.environment import OURS, Environment
from arbaro.envs.translate import SECRETS
from arbaro.errors import ArbaroError
from arbaro.output import in_one_line

_SERVICE = "arbaro environment"
#: The ways to log in that need a secret of ours; others (kerberos, a browser, none at all) do without.
_NEED_SECRET = (None, "password", "v2password", "v3password", "token", "v3token", "v3applicationcredential")


def keep(name: str, secret: str) -> None:
    """Put an environment's secret into the keyring. Raises ArbaroError where there is none."""
    _keyring().set_password(_SERVICE, name, secret)


def forget(name: str) -> None:
    """Take an environment's secret out of the keyring, if it is there."""
    from keyring.errors import KeyringError

    with contextlib.suppress(KeyringError, ArbaroError):
        _keyring().delete_password(_SERVICE, name)


def secret_of(environment: Environment, entry: Mapping[str, Any]) -> dict[str, str]:
    """What `auth:` lacks in the files: from the keyring, or asked for. Raises ArbaroError where neither can be."""
    if environment.secret == "nowhere" and entry.get("auth_type") in _NEED_SECRET:
        # Said here, because keystoneauth raises a bare Exception for it.
        raise ArbaroError(
            f"Neither clouds.yaml nor secure.yaml holds a secret of {environment.name}.",
            hint=f"Add `password:` below {environment.cloud}: auth: in secure.yaml, then run the same command again.",
        )
    if environment.secret in ("file", "nowhere"):
        return {}
    key = "application_credential_secret" if entry["auth"].get("application_credential_id") else "password"
    if environment.secret == "keyring":
        found = _keyring().get_password(_SERVICE, environment.cloud)
        if not found:
            raise ArbaroError(
                f"The keyring holds no secret of {environment.cloud}.",
                hint=f"arbaro env rm {environment.cloud}, then arbaro env add {environment.cloud} --keyring",
            )
        return {key: found}
    asked = (entry.get(OURS) or {}).get("asked") or {}
    keys = {name.removeprefix("OS_").lower(): name for name in asked}
    return {key: ask(f"{environment.name}: {name}", hidden=key in SECRETS) for key, name in keys.items()}


def ask(what: str, *, hidden: bool = True) -> str:
    """Ask for a secret without showing it; where there is no terminal, read one line of standard input."""
    if sys.stdin.isatty():
        prompt = f"{in_one_line(what)}: "
        return getpass.getpass(prompt) if hidden else str(click.prompt(prompt, err=True, prompt_suffix=""))
    secret = sys.stdin.readline().rstrip("\n")
    if not secret:
        raise ArbaroError(f"{what} was asked for, and standard input is empty.", hint="Type it in a terminal.")
    return secret


def _keyring() -> Any:
    """The system's own keyring, never our files of tokens. Raises ArbaroError where the system has none."""
    from keyring.backend import get_all_keyring

    found = [backend for backend in get_all_keyring() if backend.priority >= 1 and not hasattr(backend, "only_tokens")]
    if not found:
        raise ArbaroError(
            "This system has no keyring (no Secret Service answers).",
            hint="Leave --keyring out: the secret goes into secure.yaml (0600).",
        )
    return max(found, key=lambda backend: backend.priority)

# SPDX-License-Identifier: Apache-2.0
"""Where openstacksdk keeps its tokens between two calls: small files of mode 0600, in memory where that can be had.

openstacksdk asks the library `keyring` (`cache: {auth: true}` in clouds.yaml); this is a backend for it, found by its
entry point in pyproject.toml. Tokens live an hour or so; passwords never come here (`vault.py` looks past it).
"""

import contextlib
import hashlib
import json
import os
import time
from datetime import datetime
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError, PasswordSetError

from arbaro.envs import files

_SERVICE = "openstacksdk"
#: keystoneauth renews a token this long (s) before its end, so from then on the file is of no use.
_NEARLY_OVER = 120


class TokenFiles(KeyringBackend):
    """Keeps tokens of openstacksdk, and nothing else."""

    #: Above the keyrings of desktops (5): those may ask a person to unlock them, at each `openstack` call.
    priority = 10
    only_tokens = True

    def get_password(self, service: str, username: str) -> str | None:
        """The token kept under this key, or None; openstacksdk logs in then."""
        if service != _SERVICE:
            return None
        try:
            state = _file(username).read_text()
        except OSError:
            return None
        if _ends(state) - _NEARLY_OVER < time.time():
            return None
        _tell_shell(state)
        return state

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keep a token. One that cannot be kept only costs a login."""
        if service != _SERVICE:
            raise PasswordSetError("arbaro keeps tokens only; passwords belong into the system's keyring")
        with contextlib.suppress(OSError):
            _sweep()
            _write(_file(username), password)
            _tell_shell(password)

    def delete_password(self, service: str, username: str) -> None:
        """Forget a token (`openstack cloud cache delete`)."""
        try:
            _file(username).unlink()
        except OSError as error:
            raise PasswordDeleteError("no such token") from error


def _file(key: str) -> Path:
    return files.tokens_dir() / f"{hashlib.sha256(key.encode()).hexdigest()}.token"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    new.rename(path)


def _ends(state: str) -> float:
    """When a token ends (epoch), as keystone wrote it; 0 where it cannot be read."""
    try:
        stamp = json.loads(state)["body"]["token"]["expires_at"]
        return datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()
    except (ValueError, KeyError, TypeError):
        return 0


def _tell_shell(state: str) -> None:
    """Write for the shell's prompt when the token of its environment ends; it reads this after each `openstack`."""
    if os.environ.get("ARBARO_ENV_MODE") == "plain":
        _write(files.tokens_dir() / f"{os.environ['ARBARO_ENV'].replace('/', '_')}.until", f"{int(_ends(state))}\n")


def _sweep() -> None:
    for path in files.tokens_dir().glob("*.token"):
        if _ends(path.read_text()) < time.time():
            path.unlink(missing_ok=True)

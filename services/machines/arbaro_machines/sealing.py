# SPDX-License-Identifier: Apache-2.0
"""Secrets: BMC passwords and config drives are sealed in the database; a ramdisk's token belongs to one task."""

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, MultiFernet


class Seal:
    """Seals and opens with the newest key, opens with older ones too."""

    def __init__(self, keys: list[bytes]) -> None:
        self._fernet = MultiFernet([Fernet(key) for key in keys])
        # Tokens must stay the same while a task runs, even when a newer key is put on top: so the oldest makes them.
        self._token_key = hashlib.sha256(b"arbaro-machines token" + keys[-1]).digest()

    @classmethod
    def from_file(cls, path: Path) -> "Seal":
        """Read the keys, one a line."""
        return cls(path.read_bytes().split())

    def close(self, value: Any) -> str:
        """Make an unreadable text of a value."""
        return self._fernet.encrypt(json.dumps(value).encode()).decode()

    def open(self, sealed: str) -> Any:
        """Make the value of the text again."""
        return json.loads(self._fernet.decrypt(sealed.encode()))

    def token(self, task_id: str) -> str:
        """The ramdisk's token of this task: nothing needs to be kept for it, and it ends with the task."""
        digest = hmac.new(self._token_key, task_id.encode(), hashlib.sha256).digest()
        return f"{task_id}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"

    def task_of(self, token: str) -> str | None:
        """The task that the token was made for, or None when it was not made by us."""
        task_id = token.partition(".")[0]
        return task_id if hmac.compare_digest(self.token(task_id).encode(), token.encode()) else None


def new_key() -> str:
    """Draw a key for the key file."""
    return Fernet.generate_key().decode()

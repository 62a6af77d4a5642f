# SPDX-License-Identifier: Apache-2.0
"""The SSH host keys that a guest says on its console. Pure, nothing is touched here."""

KEYS_BEGIN, KEYS_END = "-----BEGIN SSH HOST KEY KEYS-----", "-----END SSH HOST KEY KEYS-----"


def host_keys(console: str) -> list[str]:
    """The SSH host keys that a guest printed on its console, as `type base64`."""
    lines = [line.strip() for line in console.replace("\r", "").splitlines()]
    end = max((index for index, line in enumerate(lines) if line == KEYS_END), default=0)
    begin = max((index for index, line in enumerate(lines[:end]) if line == KEYS_BEGIN), default=end)
    return [" ".join(line.split()[:2]) for line in lines[begin + 1 : end] if line.startswith(("ssh-", "ecdsa-"))]

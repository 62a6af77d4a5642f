# SPDX-License-Identifier: Apache-2.0
"""Interfaces as people write them: MAC[,NAME]; the first one boots."""

import re
from collections.abc import Iterable
from typing import Any

from osc_lib.exceptions import CommandError


def read_interfaces(texts: Iterable[str]) -> list[dict[str, Any]]:
    """Turn them into what the API takes."""
    found = []
    for number, text in enumerate(texts):
        mac, _, name = text.partition(",")
        if not re.fullmatch(r"([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}", mac):
            raise CommandError(f"interface {text}: {mac} is no MAC address.")
        found.append({"mac": mac, "name": name, "boot": number == 0})
    return found

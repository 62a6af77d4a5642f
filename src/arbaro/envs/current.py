# SPDX-License-Identifier: Apache-2.0
"""Where a process is, judged by its own variables only: what was chosen, and whether it still counts."""

import time
from collections.abc import Mapping
from typing import Any

from arbaro.envs.switch import TRUTH


def look(variables: Mapping[str, str]) -> dict[str, Any]:
    """The place that the variables name; `wrong` is a sentence if a client would go elsewhere, else empty."""
    until = variables.get("ARBARO_ENV_UNTIL", "")
    return {
        **{key: variables.get(f"ARBARO_ENV{suffix}", "") for key, suffix in _SHOWN.items()},
        "seconds left": max(int(until) - int(time.time()), 0) if until else None,
        "wrong": _wrong(variables),
    }


_SHOWN = {"name": "", "kind": "_KIND", "region": "_REGION", "project": "_PROJECT", "mode": "_MODE"}


def _wrong(variables: Mapping[str, str]) -> str:
    name = variables.get("ARBARO_ENV", "")
    stray = [key for key in variables if key.startswith("OS_") and key not in TRUTH]
    if not name:
        stray += ["OS_CLOUD"] if variables.get("OS_CLOUD") else []
        return f"{stray[0]} is set by hand." if stray else ""
    if stray:
        return f"{stray[0]} is set by hand, so clients may not go to {name}."
    truth = "|".join(variables.get(key, "") for key in TRUTH)
    return (
        "" if truth == variables.get("ARBARO_ENV_IS") else f"OS_… was changed by hand, so clients don't go to {name}."
    )

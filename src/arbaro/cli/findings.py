# SPDX-License-Identifier: Apache-2.0
"""How findings are shown, whatever they are about: lines for a person, JSON for a program."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from arbaro import output
from arbaro.checks import NOTE, Finding, causes, consequences


def print_findings(found: Sequence[Finding]) -> None:
    """Print each cause with what to type, and how much follows from it."""
    for cause in causes(found):
        label = "Note: " if cause.severity == NOTE else ""
        output.say(f"{label}{cause}" + (f"   → {cause.run}" if cause.run else ""))
        if following := consequences(cause, found):
            output.say_dimmed(f"    {_counted(following)}")


def as_json(found: Sequence[Finding]) -> list[dict[str, Any]]:
    """Findings for a program; `cause_of` and `consequence_of` hold the keys of other findings."""
    return [
        dataclasses.asdict(finding) | {"cause_of": [other.key for other in consequences(finding, found)]}
        for finding in found
    ]


def _counted(following: Sequence[Finding]) -> str:
    number = f"and {len(following)} consequence" + ("s" if len(following) > 1 else "")
    places = list(dict.fromkeys(finding.where for finding in following))
    return f"{number}: {', '.join(places[:4])}" + (f" and {len(places) - 4} more" if len(places) > 4 else "")

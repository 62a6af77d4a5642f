# SPDX-License-Identifier: Apache-2.0
"""What was seen of a cloud, as rows of a table and as JSON for a program."""

from collections.abc import Iterator, Sequence
from typing import Any

from arbaro.checks import Finding, troubles
from arbaro.cli import findings
from arbaro.cluster.evidence import MACHINE_STATES, OPENSTACK, REPORTS
from arbaro.evidence import Evidence
from arbaro.hosts import CONTROLLER


def report(evidence: Evidence, found: Sequence[Finding]) -> dict[str, Any]:
    """What `status` says, for a program."""
    wrong = troubles(found)
    return {
        "name": evidence.about,
        "healthy": not wrong,
        "items": rows(evidence),
        "findings": findings.as_json(wrong),
        "notes": findings.as_json([finding for finding in found if finding not in wrong]),
    }


def rows(evidence: Evidence) -> list[dict[str, Any]]:
    """All that was seen of a cloud, as rows of (kind, name, host, state)."""
    return [{"kind": kind, "name": name, "host": host, "state": state} for kind, name, host, state in _rows(evidence)]


def _rows(evidence: Evidence) -> Iterator[tuple[str, str, str, str]]:
    yield from (("host", host, host, evidence.value(host, "state")) for host in evidence.places("state"))
    for name, state in _seen(evidence, CONTROLLER, "APIs", {}).items():
        yield "api", name, CONTROLLER, state
    for kind, what in (("unit", "units"), ("session", "BGP sessions")):
        for host in evidence.places(what):
            states = _seen(evidence, host, what, {})
            yield from ((kind, name, host, states.get(name, "unknown")) for name in evidence.should(host, what))
    for host, states in _seen(evidence, OPENSTACK, REPORTS, {}).items():
        yield from (("report", name, host, state) for name, state in states.items())
    for machine in _seen(evidence, OPENSTACK, MACHINE_STATES, []):
        yield "machine", machine["name"], "", machine["state"] + (", maintenance" if machine["maintenance"] else "")


def _seen(evidence: Evidence, place: str, what: str, default: Any) -> Any:
    seen = evidence.facts.get(place, {}).get(what)
    return default if seen is None or seen.error else seen.value

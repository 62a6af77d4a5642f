# SPDX-License-Identifier: Apache-2.0
"""A check is a pure function of evidence. `judge` runs checks, and tells causes from what follows of them.

Every room judges in this form: `status`, `env check`, the waits of `up` and `start`, the proof.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from arbaro.errors import WaitTimeout
from arbaro.evidence import Evidence, NotSeen
from arbaro.runs import current_run

ERROR, WARNING = "error", "warning"
#: Worth knowing; all is well nevertheless.
NOTE = "note"
#: Nobody could look: neither fine nor broken.
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """What was seen, what it means, and what to type. `judge` adds which check found it, on which host, and why."""

    where: str
    saw: str
    means: str = ""
    run: str = ""
    check: str = ""
    severity: str = ERROR
    host: str = ""
    #: Names this finding among those of one judgement: the check, and where it looked.
    key: str = ""
    #: Keys of the findings that explain this one. A finding without any is a cause.
    consequence_of: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.where}: {self.saw}" + (f" ({self.means})" if self.means else "")


@dataclass(frozen=True)
class Spot:
    """Where a check looks: at a host, at one thing on it, or (without a host) at a thing of the whole system."""

    host: str = ""
    thing: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.host, self.thing) if part)


#: One check at one spot.
Need = tuple[str, Spot]


def nothing(evidence: Evidence, spot: Spot) -> Iterable[Need]:
    """The needs of a check that stands on nothing else."""
    return ()


@dataclass(frozen=True)
class Check:
    """One thing that can be wrong. Its `id` never changes: other programs know it.

    `spots` are where it looks; `look` says what is wrong there, or None. Both read evidence only, and may raise
    NotSeen. `needs` are the checks that must be silent before this one says anything of its own: where one of them is
    not, the finding is told as a consequence.
    """

    id: str
    severity: str
    spots: Callable[[Evidence], Iterable[Spot]]
    look: Callable[[Evidence, Spot], Finding | None]
    needs: Callable[[Evidence, Spot], Iterable[Need]] = nothing


def judge(checks: Iterable[Check], evidence: Evidence) -> list[Finding]:
    """Run checks and return what is wrong or could not be looked at, causes first; a healthy system yields nothing."""
    found: dict[Need, Finding | None] = {}
    needs: dict[Need, Sequence[Need]] = {}
    for check in checks:
        for spot, finding in _looked(check, evidence):
            found[check.id, spot] = finding
            needs[check.id, spot] = tuple(check.needs(evidence, spot))
    told: dict[str, Finding] = {}
    known: dict[Need, set[Finding]] = {}
    for node, finding in found.items():
        if finding:
            keys = {cause.key for cause in _causes(node, found, needs, known)} - {finding.key}
            told.setdefault(finding.key, replace(finding, consequence_of=tuple(sorted(keys))))
    return sorted(told.values(), key=lambda finding: bool(finding.consequence_of))


def causes(findings: Iterable[Finding]) -> list[Finding]:
    """Those that no other one explains."""
    return [finding for finding in findings if not finding.consequence_of]


def consequences(cause: Finding, findings: Iterable[Finding]) -> list[Finding]:
    """Those that this one explains."""
    return [finding for finding in findings if cause.key in finding.consequence_of]


def troubles(findings: Iterable[Finding]) -> list[Finding]:
    """Those because of which the system is not well."""
    return [finding for finding in findings if finding.severity != NOTE]


def _looked(check: Check, evidence: Evidence) -> list[tuple[Spot, Finding | None]]:
    try:
        spots = list(check.spots(evidence))
    except NotSeen as hole:
        # Even what there is to look at was not seen.
        spot = Spot(thing=hole.place)
        return [(spot, _hole(check, spot, hole))]
    return [(spot, _look(check, evidence, spot)) for spot in spots]


def _look(check: Check, evidence: Evidence, spot: Spot) -> Finding | None:
    try:
        finding = check.look(evidence, spot)
    except NotSeen as hole:
        return _hole(check, spot, hole)
    if finding is None:
        return None
    return replace(finding, check=check.id, severity=check.severity, host=spot.host, key=f"{check.id}/{spot}")


def _hole(check: Check, spot: Spot, hole: NotSeen) -> Finding:
    """What could not be looked at, under one key for all that the same hole hides."""
    saw, key = f"could not look at {hole.what}: {hole.why}", f"{check.id}/{hole.place}"
    return Finding(hole.place, saw, check=check.id, severity=UNKNOWN, host=spot.host, key=key)


def _causes(
    node: Need,
    found: Mapping[Need, Finding | None],
    needs: Mapping[Need, Sequence[Need]],
    known: dict[Need, set[Finding]],
) -> set[Finding]:
    """What explains a finding. What could not be looked at explains only what could not be looked at either."""
    if node not in known:
        known[node] = set()
        reasons: set[Finding] = set()
        for need in needs[node]:
            if reason := found.get(need):
                reasons |= _causes(need, found, needs, known) or {reason}
        own = found[node]
        blind = own is not None and own.severity == UNKNOWN
        known[node] = {reason for reason in reasons if blind or reason.severity != UNKNOWN}
    return known[node]


def wait_until_silent(
    look: Callable[[], Iterable[Finding]],
    *,
    what: str,
    timeout: float,
    interval: float = 0.5,
    hint: str = "",
    note: Callable[[str], None] = lambda _: None,
) -> None:
    """Look again every `interval` seconds until there is no finding.

    `note` is told what is still missing, as it changes. Raises WaitTimeout with the last findings, and
    KeyboardInterrupt after Ctrl-C, on any thread.
    """
    deadline = time.monotonic() + timeout
    while findings := list(look()):
        if time.monotonic() >= deadline:
            raise WaitTimeout(
                f"{what} did not happen within {timeout:.0f} s.",
                why="\n".join(f"Last seen: {finding}" for finding in findings[:8]),
                hint=hint or next((finding.run for finding in findings if finding.run), ""),
            )
        note(f"{findings[0]}" + (f" and {len(findings) - 1} more" if len(findings) > 1 else ""))
        current_run().sleep(interval)

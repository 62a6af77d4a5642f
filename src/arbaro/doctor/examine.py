# SPDX-License-Identifier: Apache-2.0
"""Look, judge, and look again: what has just changed is given time, and only what is seen twice is told."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from arbaro.checks import Finding, judge, troubles
from arbaro.doctor.hostlooks import STARTED
from arbaro.doctor.links import COMES_BACK, LINKS
from arbaro.doctor.questions import OPENSTACK
from arbaro.doctor.site import SITE, commands
from arbaro.errors import ArbaroError
from arbaro.evidence import Evidence
from arbaro.runs import current_run

#: Seconds after its start in which a unit's work is not judged: the agent compares everything once a minute, nova and
#: neutron hear from their parts every ten to thirty seconds.
SETTLES: Mapping[str, int] = {
    "neutron-l2isolate-agent": 75,
    "nova-compute": 60,
    "frr": 15,
    "l2isolate-dhcp": 10,
    "rabbitmq-server": 60,
    "neutron-server": 60,
    "nova-conductor": 45,
    "nova-scheduler": 45,
    "mariadb": 30,
    "keystone": 20,
    "libvirtd": 30,
}
#: A unit that systemd has started anew so often is not coming up: it falls down.
OFTEN = 3
#: Seconds between two looks, and for all of them.
PAUSE, PATIENCE = 3.0, 20.0


@dataclass(frozen=True)
class Examination:
    """The last evidence, what is wrong in it, and what is not judged yet: (host, unit, seconds that it still needs)."""

    evidence: Evidence
    findings: list[Finding]
    settling: list[tuple[str, str, int]] = field(default_factory=list)
    looks: int = 1


def examine(
    look: Callable[[], Evidence], *, patience: float = PATIENCE, note: Callable[[str], None] = lambda _: None
) -> Examination:
    """Look until what is wrong is settled: healthy at once, broken after a second look, settling if it needs longer."""
    deadline = time.monotonic() + patience
    evidence = look()
    found, looks, confirmed = judge(LINKS, evidence), 1, False
    while troubles(found):
        wait = min((left for _, _, left in young(evidence)), default=PAUSE)
        if (confirmed and not _unsettled(evidence, found)) or (looks > 1 and time.monotonic() + PAUSE > deadline):
            break
        note(f"{troubles(found)[0]} – looking again.")
        current_run().sleep(max(PAUSE, min(wait, deadline - time.monotonic())))
        evidence, looks = look(), looks + 1
        again, before = judge(LINKS, evidence), {finding.key for finding in found}
        # What was wrong once and is not any more, was on its way; what is new must be seen again.
        confirmed = any(finding.key in before for finding in troubles(again))
        found = [finding for finding in again if finding.key in before] if confirmed else again
    seen_twice = found if confirmed else [finding for finding in found if finding not in troubles(found)]
    return _settled(evidence, seen_twice, looks)


def judged(evidence: Evidence) -> Examination:
    """Judge evidence that was kept: nobody can look again. Raises ArbaroError for evidence of something else."""
    if not evidence.should(SITE, "groups"):
        raise ArbaroError(
            "This evidence is not the doctor's: it does not say which hosts the cloud has.",
            hint="Collect it again: arbaro doctor --bundle FILE",
        )
    evidence = _with_our_words(evidence)
    return _settled(evidence, judge(LINKS, evidence), 0)


def _with_our_words(evidence: Evidence) -> Evidence:
    """The same, with commands of our own: somebody else may have written the file, and a person is going to type them.

    Raises ArbaroError where it calls something by a name that nothing of a cloud can have.
    """
    wanted = [name for its in evidence.wanted.values() for kind in ("units", "APIs") for name in its.get(kind) or ()]
    reports = [one.get("unit", "") for its in evidence.wanted.values() for one in (its.get("reports") or {}).values()]
    for name in (evidence.about, *evidence.should(SITE, "groups"), *evidence.wanted, *wanted, *reports):
        if not re.fullmatch(r"[\w@.-]{0,100}", str(name), re.ASCII):
            raise ArbaroError(f"This evidence calls something {name!r}.", hint="Nothing of a cloud has such a name.")
    ours = {SITE: dict(evidence.wanted[SITE]) | commands(evidence.about)}
    if "client" in evidence.wanted.get(OPENSTACK, {}):
        ours[OPENSTACK] = dict(evidence.wanted[OPENSTACK]) | {"client": f"openstack --os-cloud arbaro-{evidence.about}"}
    return Evidence(evidence.about, evidence.facts, {**evidence.wanted, **ours})


def _settled(evidence: Evidence, found: list[Finding], looks: int) -> Examination:
    kept = [finding for finding in found if not _is_young(evidence, finding)]
    return Examination(evidence, kept, young(evidence) if len(kept) < len(found) else [], looks)


def young(evidence: Evidence) -> list[tuple[str, str, int]]:
    """The units that were started a moment ago: (host, unit, seconds until they are judged)."""
    found = []
    for host, facts in evidence.facts.items():
        seen = facts.get(STARTED)
        for unit, start in (seen.value if seen and not seen.error else {}).items():
            if not isinstance(start, dict) or not {"since", "restarts"} <= start.keys():
                continue
            age = seen.at - start["since"] if seen else 0
            left = SETTLES.get(unit, 5) - age
            # A host's clock may be another one; and what is started again and again does not come back by itself.
            if start["since"] and age >= 0 and left > 0 and start["restarts"] < OFTEN:
                found.append((host, unit, round(left)))
    return found


def _unsettled(evidence: Evidence, found: list[Finding]) -> bool:
    return any(_is_young(evidence, finding) for finding in troubles(found))


def _is_young(evidence: Evidence, finding: Finding) -> bool:
    """Say whether what a finding is about comes back by itself, after a start that was a moment ago."""
    own, central = COMES_BACK.get(finding.check, (frozenset(), frozenset()))
    groups = evidence.should(SITE, "groups", {})
    return any(
        (host == finding.host and unit in own) or ("controller" in groups.get(host, ()) and unit in central)
        for host, unit, _ in young(evidence)
    )

# SPDX-License-Identifier: Apache-2.0
"""The answer, pure: roots of the smallest scope that has them all, what follows from them, what was not looked at."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from arbaro.checks import NOTE, UNKNOWN, WARNING, Finding
from arbaro.doctor.examine import Examination
from arbaro.doctor.links import LINKS, STAGES
from arbaro.doctor.subjects import CLOUD, HOST, SERVER, Subject, concerns

HEALTHY, BROKEN, SOME_WARNINGS, SETTLING, NOT_SEEN = "healthy", "broken", "warning", "settling", "unknown"
ORDER = {check.id: number for number, check in enumerate(LINKS)}


@dataclass(frozen=True)
class Root:
    """One cause, wherever it was found: the first finding speaks for all that are alike."""

    findings: tuple[Finding, ...]
    consequences: tuple[Finding, ...] = ()

    @property
    def first(self) -> Finding:
        """The finding that speaks for all."""
        return self.findings[0]

    @property
    def where(self) -> str:
        """The smallest scope that has them all."""
        places = list(dict.fromkeys(finding.where for finding in self.findings))
        return ", ".join(places[:3]) + (f" and {len(places) - 3} more" if len(places) > 3 else "")


@dataclass(frozen=True)
class Answer:
    """What the doctor says of a subject."""

    subject: Subject
    roots: list[Root]
    notes: list[Finding]
    unknown: list[Finding]
    #: Roots that are not this subject's.
    elsewhere: list[Root] = field(default_factory=list)
    settling: list[tuple[str, str, int]] = field(default_factory=list)

    @cached_property
    def verdict(self) -> str:
        """One word."""
        if self.roots:
            return BROKEN if any(root.first.severity != WARNING for root in self.roots) else SOME_WARNINGS
        if self.unknown:
            return NOT_SEEN
        return SETTLING if self.settling else HEALTHY

    @property
    def sentence(self) -> str:
        """Subject, state and cause, in one sentence."""
        name = {CLOUD: f"The cloud {self.subject.name}", HOST: f"The host {self.subject.name}"}.get(
            self.subject.kind, self.subject.name
        )
        where = (
            f" ({self.subject.state}{', on ' + self.subject.host if self.subject.host else ''})"
            if self.subject.kind == SERVER
            else ""
        )
        where = f" ({self.subject.state})" if self.subject.kind == CLOUD and self.subject.state else where
        if self.roots:
            more = f", and {len(self.roots) - 1} more" if len(self.roots) > 1 else ""
            first = self.roots[0].first
            said = first.saw if first.where == self.subject.name else f"{self.roots[0].where}: {first.saw}"
            return f"{name}{where} is not well: {said}{more}."
        if self.unknown:
            return f"{name}{where}: nothing wrong was found, and {len(self.unknown)} things could not be looked at."
        if self.settling:
            host, unit, left = max(self.settling, key=lambda one: one[2])
            return f"{name}{where} is settling: {unit} on {host} has just been started. Look again in {left} s."
        if self.subject.kind == SERVER and not self.subject.state.startswith("ACTIVE"):
            return f"{name}{where}: nothing wrong was found. It is not running, so how it is reached was not looked at."
        return f"{name}{where} is well."

    def stages(self) -> Iterator[tuple[str, str]]:
        """(mark, stage): `ok`, `broken`, `follows`, `unknown`."""
        roots = {finding.check for root in self.roots for finding in root.findings}
        follow = {finding.check for root in self.roots for finding in root.consequences}
        holes = bool(self.unknown)
        for title, checks in STAGES:
            ids = {check.id for check in checks}
            mark = "broken" if ids & roots else "follows" if ids & follow else "ok"
            yield ("unknown" if mark == "ok" and holes else mark), title


def answer(examination: Examination, subject: Subject) -> Answer:
    """Choose what concerns the subject, and tell causes from what follows."""
    by_key = {finding.key: finding for finding in examination.findings}
    mine = [one for one in examination.findings if concerns(subject, one, examination.evidence)]
    # A cause of something that concerns the subject concerns it too.
    keys = {finding.key for finding in mine} | {
        key for finding in mine for key in finding.consequence_of if finding.severity != NOTE or subject.kind != CLOUD
    }
    real = [one for one in examination.findings if one.severity not in (NOTE, UNKNOWN) and not _caused(one, by_key)]
    notes = [one for one in mine if one.severity == NOTE and not _caused(one, by_key)]
    unknown = [one for one in mine if one.severity == UNKNOWN and not _caused(one, by_key)]
    roots = _roots([one for one in real if one.key in keys], examination.findings)
    elsewhere = _roots([one for one in real if one.key not in keys], examination.findings)
    if subject.kind == SERVER and not roots and not subject.runs:
        # Nothing explains it any more: what nova said is all that there is.
        asked = [one for one in notes if one.check in ("fits-no-host", "quota-used-up")]
        failed = asked or [one for one in notes if one.check == "server-error"]
        roots, notes = [Root((one,)) for one in failed], [one for one in notes if one not in failed]
    return Answer(subject, roots, notes, unknown, elsewhere, examination.settling)


def _caused(finding: Finding, by_key: dict[str, Finding]) -> bool:
    return any(key in by_key for key in finding.consequence_of)


def _roots(causes: Sequence[Finding], findings: Sequence[Finding]) -> list[Root]:
    """Causes that are alike, as one; those that are told first are what others stand on."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for cause in causes:
        # The same check on many things of a host is one trouble of it, the same words on many hosts one of theirs.
        groups.setdefault((cause.check, cause.where if _is_plain(cause) else cause.saw), []).append(cause)
    made = []
    for group in groups.values():
        keys = {finding.key for finding in group}
        follow = tuple(one for one in findings if keys & set(one.consequence_of))
        made.append(Root(tuple(group), follow))
    return sorted(made, key=lambda root: (root.first.severity != "error", ORDER.get(root.first.check, 99)))


def _is_plain(cause: Finding) -> bool:
    """Say whether a cause names a thing, such as a server, so that several of a host are alike all the same."""
    return cause.key.count("/") > 1 or "-" in cause.key.rpartition("/")[2]

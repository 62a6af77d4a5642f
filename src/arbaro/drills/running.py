# SPDX-License-Identifier: Apache-2.0
"""The story of a drill: it is drawn, written down, broken and proved; then it is checked, and put back in any case."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from arbaro.checks import Finding, causes, judge, troubles, wait_until_silent
from arbaro.cluster.checks import CHECKS
from arbaro.cluster.evidence import collect
from arbaro.drills import hands, probes, progress, state
from arbaro.drills.catalogue import Cause, Drill, find_drill, parts_of
from arbaro.drills.scene import HOST_OF, Variables, set_scene
from arbaro.drills.state import Running
from arbaro.errors import ArbaroError, WaitTimeout
from arbaro.locks import only_one
from arbaro.runs import current_run
from arbaro.steps import Note

if TYPE_CHECKING:
    from arbaro.cluster.cloud import Cloud

#: Seconds for a fault to take hold, and for a cloud to be well again: neutron believes an agent dead for 75.
HOLD, HEAL = 45, 240
#: The network driver whose clouds the drills are made for.
DRIVER = "l2isolate"


@dataclass(frozen=True)
class Verdict:
    """What a check has seen. Each part is empty when it is as it should be."""

    #: What the user still sees.
    symptoms: tuple[str, ...] = ()
    #: What `arbaro status` finds, whatever it comes from.
    findings: tuple[Finding, ...] = ()
    #: How many of the drill's causes are still in place.
    causes: int = 0

    @property
    def is_good(self) -> bool:
        """Say whether nothing lacks."""
        return not (self.symptoms or self.findings or self.causes)


def start(cloud: "Cloud", drill: Drill, seed: int, note: Note = lambda _: None) -> Running:
    """Break a cloud that is well, and prove that it is broken.

    Raises ArbaroError, with nothing broken, when the cloud is not well, a drill runs already, or the proof fails.
    """
    place = cloud.keeper.directory
    refuse_other_driver(cloud)
    state.refuse_second(place, cloud.spec.name)
    note("looking whether all is well")
    refuse_ill(cloud)
    running = Running(drill.id, seed, time.time(), set_scene(cloud, drill, seed))
    for part in parts_of(drill):
        if hands.is_proved(cloud, part, running.variables):
            raise ArbaroError(
                "The cloud is like this already, so there is nothing to break.",
                hint="Draw another host: arbaro drill start with another --seed",
            )
    note("breaking it, and looking whether it is broken")
    # From here on `drill stop` puts everything back, also after a kill.
    state.save(place, running)
    try:
        for part in parts_of(drill):
            hands.run(cloud, part.host, part.breaks, running.variables)
        _wait_for_proof(cloud, drill, running.variables)
    except BaseException:
        put_back(cloud, running)
        raise
    return running


def check(cloud: "Cloud", running: Running, note: Note = lambda _: None) -> Verdict:
    """Look at the three things: the cause is mended, nothing else is broken, the user's symptom is gone."""
    drill, values = find_drill(running.drill), running.variables
    note("looking whether the cause is mended")
    left = sum(hands.is_proved(cloud, part, values) for part in parts_of(drill))
    note("looking at the whole cloud, as status does")
    found = tuple(findings(cloud))
    note("trying what the user tries")
    symptoms = dict.fromkeys(part.symptom for part in parts_of(drill))
    seen = tuple(filter(None, (probes.look(cloud, symptom, values) for symptom in symptoms)))
    return Verdict(seen, found, left)


def count_check(cloud: "Cloud", running: Running) -> Running:
    """Remember a check that found something."""
    counted = replace(running, checks=running.checks + 1)
    state.save(cloud.keeper.directory, counted)
    return counted


def take_hint(cloud: "Cloud", running: Running) -> tuple[Running, str]:
    """The next hint, and how many were given. The last one is given again."""
    hints = find_drill(running.drill).hints
    number = min(running.hints, len(hints) - 1)
    told = replace(running, hints=number + 1)
    state.save(cloud.keeper.directory, told)
    return told, hints[number]


def put_back(cloud: "Cloud", running: Running) -> None:
    """Mend all that the drill broke. The state goes only when nothing of it is proved any more.

    It may be run at any time, and again after it was killed. Raises ArbaroError for what could not be put back.
    """
    drill, values = find_drill(running.drill), running.variables
    failed = [error for part in reversed(parts_of(drill)) if (error := _mended(cloud, part, values))]
    if failed:
        raise failed[0]
    left = [part.id for part in parts_of(drill) if hands.is_proved(cloud, part, values)]
    if left:
        raise ArbaroError(
            f"The drill {drill.id} could not be put back.",
            why=f"Still in place: {', '.join(left)}.",
            hint=f"arbaro drill stop {cloud.spec.name}",
        )
    with contextlib.suppress(OSError):
        (cloud.keeper.directory / "drill-kept").rmdir()
    state.forget(cloud.keeper.directory)


def finish(cloud: "Cloud", running: Running, *, solved: bool) -> None:
    """Put back what is left of the drill, and write it into the person's progress."""
    put_back(cloud, running)
    took = time.time() - running.began
    record = progress.Record(
        running.drill, cloud.spec.name, running.seed, took, running.hints, running.checks, solved, time.time()
    )
    progress.add(record)


def wait_until_well(cloud: "Cloud", note: Note = lambda _: None) -> list[Finding]:
    """Wait until `status` finds nothing any more; returns what is left when time is up."""
    try:
        wait_until_silent(lambda: findings(cloud), what="All is well", timeout=HEAL, interval=3, note=note)
    except WaitTimeout:
        return findings(cloud)
    return []


@contextlib.contextmanager
def broken(cloud: "Cloud", drill: Drill, seed: int) -> Iterator[Variables]:
    """For tests and scoring: break a cloud that is well, yield what was drawn, and put it back whatever happens.

    It does not wait until all is well again (`wait_until_well`).
    """
    with only_one(cloud.spec.name):
        running = start(cloud, drill, seed)
    try:
        yield running.variables
    finally:
        with only_one(cloud.spec.name):
            put_back(cloud, running)


def expected(drill: Drill, values: Mapping[str, str]) -> list[Cause]:
    """What the doctor is to name, with the hosts that were drawn."""
    named = []
    for part in parts_of(drill):
        own = {f"${name}": value for name, value in values.items()} | {"$HOST": values[HOST_OF[part.host]]}
        named += [replace(cause, host=own.get(cause.host, cause.host)) for cause in part.expects]
    return list(dict.fromkeys(named))


def words(drill: Drill, values: Mapping[str, str]) -> Variables:
    """What stands for $HOST, $VM and their like in what a person reads of this drill."""
    return {**values, "HOST": values[HOST_OF[parts_of(drill)[0].host]]}


def findings(cloud: "Cloud") -> list[Finding]:
    """What `status` finds: causes only."""
    return causes(troubles(judge(CHECKS, collect(cloud))))


def refuse_other_driver(cloud: "Cloud") -> None:
    """Raise ArbaroError for a cloud that the drills are not made for."""
    if cloud.spec.network != DRIVER:
        raise ArbaroError(
            f"The drills are made for the network driver {DRIVER}; {cloud.spec.name} has {cloud.spec.network}.",
            hint="arbaro up drills; arbaro drill start S11 drills",
        )


def refuse_ill(cloud: "Cloud") -> None:
    """Raise ArbaroError for a cloud that is not well: nobody could tell its own fault from the drill's."""
    found = findings(cloud)
    if found:
        raise ArbaroError(
            f"The cloud {cloud.spec.name} is not well, and a drill needs one that is.",
            why="\n".join(str(finding) for finding in found[:5]),
            hint=f"arbaro status {cloud.spec.name}",
        )


def state_of(cloud: "Cloud") -> Running:
    """The drill that runs. Raises ArbaroError when none does."""
    running = state.load(cloud.keeper.directory)
    if running is None:
        raise ArbaroError(f"No drill runs in the cloud {cloud.spec.name}.", hint="arbaro drill ls")
    return running


def _wait_for_proof(cloud: "Cloud", drill: Drill, values: Variables) -> None:
    deadline = time.monotonic() + HOLD
    while not all(hands.is_proved(cloud, part, values) for part in parts_of(drill)):
        if time.monotonic() > deadline:
            raise ArbaroError(
                f"The drill {drill.id} did not break what it is to break, and was put back.",
                why="Something here is different from what the drill was written for.",
                hint="arbaro drill ls, and choose another one",
            )
        current_run().sleep(2)


def _mended(cloud: "Cloud", part: Drill, values: Variables) -> ArbaroError | None:
    """Mend one fault; what fails is returned, so that it does not keep the other fault from being mended."""
    try:
        hands.run(cloud, part.host, part.mends, values)
        if part.tidies:
            hands.run(cloud, "here", part.tidies, values)
    except ArbaroError as error:
        error.hint = f"arbaro drill stop {cloud.spec.name}"
        return error
    return None

# SPDX-License-Identifier: Apache-2.0
"""Physical machines: has one failed, is one out of use, does nova offer those that are free."""

from collections.abc import Iterator, Mapping
from typing import Any

from arbaro.checks import ERROR, WARNING, Check, Finding, Need, Spot
from arbaro.cluster.checks.openstack import answers, was_asked
from arbaro.cluster.evidence import MACHINE_STATES, OFFERED_MACHINES, OPENSTACK
from arbaro.evidence import Evidence

#: State in which a machine stays after a failed task → the verbs of `openstack machine` that bring it back. A machine
#: that somebody holds is only shown: its holder decides.
NEXT: Mapping[str, tuple[str, ...]] = {
    "inspect-failed": ("inspect --wait",),
    "clean-failed": ("maintenance unset", "provide --wait"),
    "deploy-failed": ("show",),
    "rescue-failed": ("show",),
}


def machines(evidence: Evidence) -> Mapping[str, Mapping[str, Any]]:
    """The machines by name. Raises NotSeen."""
    return {one["name"]: one for one in evidence.value(OPENSTACK, MACHINE_STATES)}


def each_machine(evidence: Evidence) -> list[Spot]:
    """All machines that the service knows, where there is one."""
    return [Spot(thing=name) for name in machines(evidence)] if was_asked(evidence, MACHINE_STATES) else []


def machine_failed(evidence: Evidence, spot: Spot) -> Finding | None:
    """What was last done with a machine failed, and nobody gets it before somebody has looked."""
    machine, client = machines(evidence)[spot.thing], evidence.should(OPENSTACK, "client", "openstack")
    if machine["state"] not in NEXT:
        return None
    run = " && ".join(f"{client} machine {verb} {spot.thing}" for verb in NEXT[machine["state"]])
    return Finding(spot.thing, f"the machine is {machine['state']}", means=machine["fault"], run=run)


def machine_in_maintenance(evidence: Evidence, spot: Spot) -> Finding | None:
    """A machine is out of use: nobody new gets it."""
    machine, client = machines(evidence)[spot.thing], evidence.should(OPENSTACK, "client", "openstack")
    if not machine["maintenance"]:
        return None
    run = f"{client} machine maintenance unset {spot.thing}"
    return Finding(spot.thing, "the machine is in maintenance", means=machine["maintenance"], run=run)


def machine_not_offered(evidence: Evidence, spot: Spot) -> Finding | None:
    """A machine is free, and nova would give it to nobody yet: it looks only now and then."""
    machine = machines(evidence)[spot.thing]
    is_free = machine["state"] == "available" and not machine["maintenance"]
    if not is_free or machine["id"] in evidence.value(OPENSTACK, OFFERED_MACHINES):
        return None
    run = f"arbaro logs {evidence.about} controller nova-compute-machines"
    return Finding(spot.thing, "nova does not offer this machine yet", run=run)


def needs_machines(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """The service must say what machines there are."""
    yield answers(MACHINE_STATES)


def needs_to_be_well(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """A machine that could not be wiped is set to maintenance by the service itself."""
    yield from needs_machines(evidence, spot)
    yield MACHINE_FAILED.id, spot


MACHINE_FAILED = Check("machine-failed", ERROR, each_machine, machine_failed, needs_machines)
MACHINE_IN_MAINTENANCE = Check(
    "machine-in-maintenance", WARNING, each_machine, machine_in_maintenance, needs_to_be_well
)
#: Waited for by `up`. In a cloud at work it is so for a minute after each wipe, which is nothing to report.
MACHINE_NOT_OFFERED = Check("machine-not-offered", WARNING, each_machine, machine_not_offered, needs_machines)

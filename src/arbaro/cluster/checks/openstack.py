# SPDX-License-Identifier: Apache-2.0
"""OpenStack: do its APIs answer, what reports to it, and do its parts agree."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from arbaro.checks import ERROR, Check, Finding, Need, Spot
from arbaro.cluster.checks.hosts import GROUND, HOST_DOWN, each_thing, needs_answers, units
from arbaro.cluster.evidence import AGGREGATES, MACHINE_STATES, NEEDED_APIS, OPENSTACK, REPORTS, answer
from arbaro.evidence import Evidence
from arbaro.hosts import CONTROLLER

#: In the order in which they are asked.
QUESTIONS = (REPORTS, AGGREGATES, MACHINE_STATES)
CONDUCTOR = Spot(CONTROLLER, "nova-conductor")


def each_api(evidence: Evidence) -> list[Spot]:
    """All APIs that are wanted."""
    return [Spot(CONTROLLER, name) for name in evidence.should(CONTROLLER, "APIs", ())]


def api_silent(evidence: Evidence, spot: Spot) -> Finding | None:
    """An API does not answer on the public address."""
    state = evidence.value(CONTROLLER, "APIs")[spot.thing]
    if state == "up":
        return None
    run = f"arbaro logs {evidence.about} controller"
    return Finding(spot.thing, f"the API does not answer: {state}", run=run)


def needs_its_unit(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """An API is one unit of the controller, named after its service, and asks database and queue."""
    yield HOST_DOWN.id, Spot(CONTROLLER)
    yield from units(CONTROLLER, *GROUND, spot.thing, f"{spot.thing}-api", f"{spot.thing}-server")


def each_question(evidence: Evidence) -> list[Spot]:
    """All that was to be asked."""
    return [Spot(thing=what) for what in QUESTIONS if was_asked(evidence, what)]


def was_asked(evidence: Evidence, what: str) -> bool:
    """Say whether OpenStack was to be asked this."""
    return OPENSTACK in evidence.places(answer(what))


def openstack_refuses(evidence: Evidence, spot: Spot) -> Finding | None:
    """The APIs answer their versions and nothing else: the database, the queue, or secrets that do not fit."""
    said = evidence.value(OPENSTACK, answer(spot.thing))
    if said == "given":
        return None
    return Finding(
        OPENSTACK, f"it refuses to tell its {spot.thing}: {said}", run=f"arbaro logs {evidence.about} controller"
    )


def needs_apis(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """OpenStack is asked by these APIs. Where it refuses the first question, the others say nothing more."""
    yield from ((API_SILENT.id, Spot(CONTROLLER, name)) for name in NEEDED_APIS)
    yield from units(CONTROLLER, *GROUND)
    if spot.thing != REPORTS:
        yield answers(REPORTS)
    if spot.thing == MACHINE_STATES:
        yield from units(CONTROLLER, "arbaro-machines-api")


def answers(what: str) -> Need:
    """The need that OpenStack answers this question."""
    return OPENSTACK_REFUSES.id, Spot(thing=what)


def service_silent(evidence: Evidence, spot: Spot) -> Finding | None:
    """A service or agent is missing from OpenStack's lists, or down there."""
    wanted = evidence.should(spot.host, REPORTS)[spot.thing]
    state = evidence.value(OPENSTACK, REPORTS).get(wanted["host"], {}).get(wanted["name"], "not reporting yet")
    if state == "up":
        return None
    run = f"arbaro logs {evidence.about} {spot.host} {wanted['unit']}"
    return Finding(wanted["host"], f"{wanted['name']} is {state}", run=run)


def needs_its_way(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """A report comes from a unit on a host, by queue and database, through the conductor or neutron-server."""
    yield from needs_answers(evidence, spot)
    yield from units(spot.host, evidence.should(spot.host, REPORTS)[spot.thing]["unit"])
    yield answers(REPORTS)
    yield from units(CONTROLLER, *GROUND)
    if spot.thing.startswith("neutron-"):
        yield from units(CONTROLLER, "neutron-server")
        return
    if spot != CONDUCTOR:
        yield from units(CONTROLLER, "nova-conductor")
        yield SERVICE_SILENT.id, CONDUCTOR
    if spot.thing == "hypervisor":
        yield SERVICE_SILENT.id, Spot(spot.host, "nova-compute")
    if spot.thing == "nova-compute":
        yield from units(spot.host, "libvirtd")


def needs_aggregates(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """OpenStack itself must say what aggregates there are."""
    yield answers(AGGREGATES)


def aggregates(evidence: Evidence) -> Mapping[str, Any]:
    """The aggregates by what they are called in findings. Raises NotSeen."""
    return {f"aggregate {one['id']} ({one['name']})": one for one in evidence.value(OPENSTACK, AGGREGATES)}


def each_aggregate(evidence: Evidence) -> list[Spot]:
    """All aggregates of nova."""
    return [Spot(thing=name) for name in aggregates(evidence)] if was_asked(evidence, AGGREGATES) else []


def aggregate_lacks_host(evidence: Evidence, spot: Spot) -> Finding | None:
    """Placement does not know that a host belongs to an aggregate."""
    one = aggregates(evidence)[spot.thing]
    missing: Sequence[str] = sorted(set(one["in_nova"]) - set(one["in_placement"]))
    if not missing:
        return None
    return Finding(
        spot.thing,
        f"placement does not know that {', '.join(missing)} belongs to it",
        means="servers that ask for it are refused there",
        run=f"arbaro ssh {evidence.about} controller -- runuser -u nova -- nova-manage placement sync_aggregates",
    )


def each_stranger(evidence: Evidence) -> list[Spot]:
    """Each host that placement counts into an aggregate and nova does not."""
    if not was_asked(evidence, AGGREGATES):
        return []
    found = aggregates(evidence).items()
    extra = [(name, host) for name, one in found for host in sorted(set(one["in_placement"]) - set(one["in_nova"]))]
    return [Spot(host, name) for name, host in extra]


def aggregate_left_behind(evidence: Evidence, spot: Spot) -> Finding | None:
    """Placement still counts a host into an aggregate that nova has taken it out of."""
    number, client = aggregates(evidence)[spot.thing]["id"], f"openstack --os-cloud arbaro-{evidence.about} aggregate"
    return Finding(
        spot.thing,
        f"placement still counts {spot.host} in, nova does not",
        means="it is offered to servers that ask for the aggregate, and then refused",
        # sync_aggregates only adds.
        run=f"{client} add host {number} {spot.host} && {client} remove host {number} {spot.host}",
    )


API_SILENT = Check("api-silent", ERROR, each_api, api_silent, needs_its_unit)
OPENSTACK_REFUSES = Check("openstack-refuses", ERROR, each_question, openstack_refuses, needs_apis)
SERVICE_SILENT = Check("service-silent", ERROR, each_thing(REPORTS), service_silent, needs_its_way)
AGGREGATE_LACKS_HOST = Check("aggregate-lacks-host", ERROR, each_aggregate, aggregate_lacks_host, needs_aggregates)
AGGREGATE_LEFT_BEHIND = Check("aggregate-left-behind", ERROR, each_stranger, aggregate_left_behind, needs_aggregates)

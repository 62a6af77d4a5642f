# SPDX-License-Identifier: Apache-2.0
"""Hosts: do they run, do they answer, what do they run, are they joined."""

from collections.abc import Callable, Iterator

from arbaro.checks import ERROR, NOTE, UNKNOWN, Check, Finding, Need, Spot
from arbaro.evidence import Evidence, NotSeen

#: Units that others of a controller stand on.
GROUND = ("mariadb", "rabbitmq-server", "memcached")


def each_host(what: str) -> Callable[[Evidence], list[Spot]]:
    """All hosts of which something of this kind is wanted."""
    return lambda evidence: [Spot(host) for host in evidence.places(what)]


def each_thing(what: str) -> Callable[[Evidence], list[Spot]]:
    """All things of this kind that are wanted, on all hosts."""
    return lambda evidence: [
        Spot(host, thing) for host in evidence.places(what) for thing in evidence.should(host, what)
    ]


def host_down(evidence: Evidence, spot: Spot) -> Finding | None:
    """A host is missing or does not run."""
    state = evidence.value(spot.host, "state")
    if state == "running":
        return None
    verb = "start" if state == "exited" else "up"
    return Finding(spot.host, f"the host is {state}", run=f"arbaro {verb} {evidence.about}")


def host_unreachable(evidence: Evidence, spot: Spot) -> Finding | None:
    """A host cannot be asked by SSH. What it runs may be well."""
    try:
        evidence.value(spot.host, "SSH")
    except NotSeen as hole:
        run = f"arbaro ssh {evidence.about} {spot.host} -- systemctl --failed"
        return Finding(spot.host, f"could not look at it by SSH: {hole.why}", run=run)
    return None


def needs_running(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """Nothing of a host is seen unless it runs."""
    yield HOST_DOWN.id, Spot(spot.host)


def needs_answers(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """What is seen by SSH."""
    yield HOST_DOWN.id, Spot(spot.host)
    yield HOST_UNREACHABLE.id, Spot(spot.host)


def unit_down(evidence: Evidence, spot: Spot) -> Finding | None:
    """A unit is not what systemd calls active."""
    state = evidence.value(spot.host, "units").get(spot.thing, "missing")
    if state == "active":
        return None
    run = f"arbaro logs {evidence.about} {spot.host} {spot.thing}"
    return Finding(spot.host, f"{spot.thing} is {state}", run=run)


def needs_ground(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """Services on a controller end, or do not get up, without database and queue."""
    yield from needs_answers(evidence, spot)
    yield from units(spot.host, *(name for name in GROUND if spot.thing not in GROUND))


def units(host: str, *names: str) -> Iterator[Need]:
    """The need that these units work. Those that a host does not have are no need."""
    yield from ((UNIT_DOWN.id, Spot(host, name)) for name in names)


def session_down(evidence: Evidence, spot: Spot) -> Finding | None:
    """A BGP session is not established. A server is reached as long as its host has one."""
    state = evidence.value(spot.host, "BGP sessions").get(spot.thing, "missing")
    if state == "Established":
        return None
    run = f"arbaro ssh {evidence.about} {spot.host} -- vtysh -c \"'show bgp summary'\""
    return Finding(spot.host, f"the BGP session on {spot.thing} is {state}", run=run)


def needs_both_ends(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """A session has two ends; both hosts must run, and FRR on both."""
    yield from needs_answers(evidence, spot)
    other = evidence.should(spot.host, "BGP sessions", {}).get(spot.thing, "")
    yield HOST_DOWN.id, Spot(other)
    yield from (*units(spot.host, "frr"), *units(other, "frr"))


def host_outdated(evidence: Evidence, spot: Spot) -> Finding | None:
    """A host was made from another image than `up` would make it from today."""
    if evidence.value(spot.host, "image") == evidence.should(spot.host, "image"):
        return None
    renew = f"arbaro down {evidence.about}; arbaro up {evidence.about}"
    return Finding(spot.host, "made from an older image than `up` would use now", run=renew)


HOST_DOWN = Check("host-down", ERROR, each_host("state"), host_down)
HOST_UNREACHABLE = Check("host-unreachable", UNKNOWN, each_host("SSH"), host_unreachable, needs_running)
UNIT_DOWN = Check("unit-down", ERROR, each_thing("units"), unit_down, needs_ground)
SESSION_DOWN = Check("session-down", ERROR, each_thing("BGP sessions"), session_down, needs_both_ends)
HOST_OUTDATED = Check("host-outdated", NOTE, each_host("image"), host_outdated)

# SPDX-License-Identifier: Apache-2.0
"""Guests: does libvirt have what nova believes to run, does it run, and is there one that nova does not know."""

from collections.abc import Iterator
from shlex import quote

from arbaro.checks import ERROR, Check, Finding, Need, Spot
from arbaro.doctor import hostlooks
from arbaro.doctor.links.ground import needs_the_host, working
from arbaro.doctor.ports import named, running, seen
from arbaro.doctor.questions import OPENSTACK, SERVERS
from arbaro.doctor.site import client, hosts_in, there
from arbaro.evidence import Evidence
from arbaro.hosts import COMPUTE

#: virDomainState, and what of virDomainPausedReason is a disk's fault.
RUNNING, PAUSED, IO_ERROR = 1, 3, 5


def each_running(evidence: Evidence) -> list[Spot]:
    """All servers that are meant to run, on hosts that are looked at."""
    hosts = hosts_in(evidence, COMPUTE)
    return [
        Spot(one["host"], number)
        for number, one in seen(evidence, SERVERS).items()
        if running(one, evidence) and one["host"] in hosts
    ]


def guest_gone(evidence: Evidence, spot: Spot) -> Finding | None:
    """Nova has a server on a host, and libvirt there does not know it."""
    found = evidence.value(spot.host, hostlooks.LIBVIRT)
    if found["code"] != 0 or spot.thing in found["domains"]:
        return None
    name = named(evidence, spot.thing)
    return Finding(
        spot.host,
        f"libvirt has no guest for the server {name}, which nova believes to run here",
        "",
        client(evidence, "server reboot --hard", spot.thing),
    )


def needs_libvirt(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """What libvirt says."""
    yield from needs_the_host(evidence, spot)
    yield from working(spot.host, "libvirtd")
    yield "libvirt-silent", Spot(spot.host)


def _state(evidence: Evidence, spot: Spot) -> list[int]:
    name = evidence.value(spot.host, hostlooks.LIBVIRT)["domains"].get(spot.thing, "")
    state: list[int] = evidence.value(spot.host, hostlooks.DOMAIN_STATES).get(name, [])
    return state


def guest_paused(evidence: Evidence, spot: Spot) -> Finding | None:
    """A server's guest is paused, and nobody asked nova for that."""
    state = _state(evidence, spot)
    if not state or state[0] != PAUSED:
        return None
    name = evidence.value(spot.host, hostlooks.LIBVIRT)["domains"][spot.thing]
    why = ": its disk could not be written" if state[1:] == [IO_ERROR] else ""
    return Finding(
        spot.host,
        f"the guest of {named(evidence, spot.thing)} is paused{why}",
        "nova believes that it runs",
        there(evidence, spot.host, f"virsh resume {quote(name)}"),
    )


def guest_off(evidence: Evidence, spot: Spot) -> Finding | None:
    """A server's guest does not run, and nobody asked nova for that."""
    state = _state(evidence, spot)
    if not state or state[0] in (RUNNING, PAUSED):
        return None
    saw = f"the guest of {named(evidence, spot.thing)} does not run (libvirt's state {state[0]})"
    return Finding(spot.host, saw, "nova believes that it runs", client(evidence, "server start", spot.thing))


def needs_disks(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """A guest is paused where its disk has no room."""
    yield from needs_libvirt(evidence, spot)
    yield from (("disk-full", Spot(spot.host, target)) for target in seen(evidence, hostlooks.DISKS, spot.host))


def each_guest(evidence: Evidence) -> list[Spot]:
    """All guests that libvirt has on computes."""
    hosts = hosts_in(evidence, COMPUTE)
    return [
        Spot(host, number)
        for host in hosts
        for number in (seen(evidence, hostlooks.LIBVIRT, host) or {}).get("domains", {})
    ]


def guest_unknown(evidence: Evidence, spot: Spot) -> Finding | None:
    """A guest runs on a host, and nova knows nothing of it, or has it elsewhere."""
    server = evidence.value(OPENSTACK, SERVERS).get(spot.thing)
    moving = {one["instance_uuid"] for one in seen(evidence, "migrations") or []}
    name = evidence.value(spot.host, hostlooks.LIBVIRT)["domains"][spot.thing]
    if spot.thing in moving or (server and (server["host"] == spot.host or server["task_state"])):
        return None
    if server is None:
        saw, means = f"the guest {name} is no server of nova's", "it takes memory that nova offers to others"
    elif _state(evidence, spot)[:1] == [RUNNING]:
        saw = f"the guest {name} runs here, and nova has its server {server['name']} on {server['host']}"
        means = "the same server may run twice, and spoil its disk"
    else:
        return None
    return Finding(spot.host, saw, means, there(evidence, spot.host, f"virsh destroy {quote(name)}"))


GUEST_GONE = Check("guest-gone", ERROR, each_running, guest_gone, needs_libvirt)
GUEST_PAUSED = Check("guest-paused", ERROR, each_running, guest_paused, needs_disks)
GUEST_OFF = Check("guest-off", ERROR, each_running, guest_off, needs_disks)
GUEST_UNKNOWN = Check("guest-unknown", ERROR, each_guest, guest_unknown, needs_libvirt)

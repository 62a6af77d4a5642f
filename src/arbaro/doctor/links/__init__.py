# SPDX-License-Identifier: Apache-2.0
"""All links of the doctor, in the order in which they are told: each is a pure function of evidence."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from arbaro.checks import UNKNOWN, Check, Finding, Need, Spot
from arbaro.cluster.checks import hosts, machines, openstack
from arbaro.doctor import hostlooks
from arbaro.doctor.links import apis, fabric, filters, ground, guests, neutron, scheduling, servers, stores, ways
from arbaro.doctor.questions import OPENSTACK, QUESTIONS
from arbaro.doctor.site import SITE, controller, there
from arbaro.evidence import Evidence, NotSeen, Seen

#: What a check raises where a fact is not of the form that it knows, such as one of another version.
NOT_AS_KNOWN = (KeyError, TypeError, ValueError, AttributeError, IndexError, StopIteration)


def needs_round_trips(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """A report comes from a process that goes on, by a queue and a database that take it."""
    host = controller(evidence)
    unit = (evidence.should(spot.host, "reports") or {}).get(spot.thing, {}).get("unit", "")
    yield from ground.working(spot.host, unit, "libvirtd")
    yield from ground.working(host, "nova-conductor", "neutron-server", "rabbitmq-server", "mariadb")
    vhost = "neutron" if spot.thing.startswith("neutron-") else "nova"
    yield from (
        (check, Spot(host))
        for check in ("queue-silent", "queue-blocked", "database-silent", "database-full", "keystone-keys")
    )
    yield "queue-refuses", Spot(host, vhost)
    yield "queue-unreachable", Spot(spot.host)
    yield "libvirt-silent", Spot(spot.host)
    names = evidence.facts.get(spot.host, {}).get("names in configuration")
    files = list(names.value["said"]) if names and not names.error else []
    mine = [path for path in files if ("/neutron/" in path) == (vhost == "neutron")]
    yield from ((ground.RENAMED.id, Spot(spot.host, path)) for path in mine)


def needs_process(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """An API is answered by a process that goes on."""
    host = controller(evidence)
    yield from ground.working(host, spot.thing, f"{spot.thing}-api", f"{spot.thing}-server", "mariadb", "memcached")
    yield "database-silent", Spot(host)
    yield "database-full", Spot(host)


def needs_login(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """OpenStack answers whoever keystone vouches for."""
    host = controller(evidence)
    yield from ((check, Spot(host)) for check in ("keystone-keys", "database-silent", "database-full", "queue-blocked"))
    yield from ground.working(host, "keystone", "mariadb", "nova-api", "neutron-server")
    for facts_of, facts in evidence.facts.items():
        seen = facts.get("logins")
        for one in seen.value if seen and not seen.error else []:
            yield apis.SERVICE_PASSWORD.id, Spot(facts_of, f"{one['file']} [{one['section']}]")


def unit_down(evidence: Evidence, spot: Spot) -> Finding | None:
    """A unit is not what systemd calls active."""
    found = hosts.unit_down(evidence, spot)
    if found is None:
        return None
    start = (evidence.facts.get(spot.host, {}).get("start times") or Seen(error="-")).value or {}
    result = start.get(spot.thing, {}).get("result", "success")
    why = "" if result in ("success", "") else f" ({result})"
    reset = f"systemctl reset-failed {spot.thing}; " if "failed" in found.saw else ""
    return replace(found, saw=found.saw + why, run=there(evidence, spot.host, f"{reset}systemctl restart {spot.thing}"))


def needs_read_write(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """A unit does not start on a disk that takes nothing."""
    seen = evidence.facts.get(spot.host, {}).get("disks")
    own = {"mariadb": "/var/lib/mysql", "rabbitmq-server": "/var/lib/rabbitmq", "glance-api": "/var/lib/glance/images"}
    disks = (seen.value if seen and not seen.error else {}).keys() & {"/", "/var/log", own.get(spot.thing, "/")}
    yield from ((ground.DISK_FULL.id, Spot(spot.host, target)) for target in sorted(disks))
    yield ground.AGENT_IMAGE_GONE.id, spot
    if spot.thing == "keystone":
        yield apis.KEYSTONE_KEYS.id, Spot(spot.host)
    if spot.host == controller(evidence) and spot.thing != "mariadb":
        yield from ((check, Spot(spot.host)) for check in ("database-silent", "database-full"))
    if spot.thing == "l2isolate-dhcp":
        yield fabric.DHCP_READ_ONLY.id, Spot(spot.host)


def guarded(check: Check) -> Check:
    """The same check; evidence of another form than it knows is something that it could not look at, and no crash."""

    def look(evidence: Evidence, spot: Spot) -> Finding | None:
        try:
            return check.look(evidence, spot)
        except NOT_AS_KNOWN as error:
            raise NotSeen(spot.host or evidence.about, check.id, f"it is of another form ({error!r})") from error

    def spots(evidence: Evidence) -> Sequence[Spot]:
        try:
            return list(check.spots(evidence))
        except NOT_AS_KNOWN as error:
            raise NotSeen(evidence.about, check.id, f"it is of another form ({error!r})") from error

    def needs(evidence: Evidence, spot: Spot) -> Sequence[Need]:
        with contextlib.suppress(*NOT_AS_KNOWN):
            return list(check.needs(evidence, spot))
        return ()

    return replace(check, look=look, spots=spots, needs=needs)


def each_hole(evidence: Evidence) -> list[Spot]:
    """All that was to be looked at, and could not, or was not."""
    blind = [Spot(place, what) for place, its in evidence.facts.items() for what, one in its.items() if one.error]
    must = [(OPENSTACK, what) for what in QUESTIONS]
    for host, groups in evidence.should(SITE, "groups", {}).items():
        must += [(host, what) for group in ("", *groups) for what in hostlooks.OF.get(group, ())]
        if evidence.should(SITE, "network") == "l2isolate":
            must += [(host, what) for group in groups for what in hostlooks.OF_FABRIC.get(group, ())]
    return blind + [Spot(place, what) for place, what in must if what not in evidence.facts.get(place, {})]


def hole(evidence: Evidence, spot: Spot) -> Finding | None:
    """Something could not be looked at. Checks that need it are silent, so silence would look like health."""
    evidence.value(spot.host, spot.thing)
    return None


def needs_way_to_look(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """A host is asked by SSH; OpenStack by its APIs, for which keystone vouches."""
    host = controller(evidence)
    if spot.host in evidence.should(SITE, "groups", {}):
        yield from ground.needs_the_host(evidence, spot)
        if spot.thing.startswith("BGP") or spot.thing == "BFD":
            yield from ground.working(spot.host, "frr")
        return
    yield from ground.needs_the_host(evidence, Spot(host))
    yield from ((openstack.API_SILENT.id, Spot(host, name)) for name in evidence.should(host, "APIs", ()))
    yield from needs_login(evidence, spot)
    yield from ((openstack.OPENSTACK_REFUSES.id, Spot(thing=what)) for what in openstack.QUESTIONS)
    yield from ((apis.ENDPOINT_DEAD.id, one) for one in apis.each_endpoint(evidence))


NOT_LOOKED_AT = Check("not-looked-at", UNKNOWN, each_hole, hole, needs_way_to_look)
#: The way of a request and of a packet, in the order in which a person is told how far all is well.
STAGES: Sequence[tuple[str, Sequence[Check]]] = (
    (
        "hosts run, and their services go on",
        (
            hosts.HOST_DOWN,
            hosts.HOST_UNREACHABLE,
            ground.DISK_FULL,
            ground.AGENT_IMAGE_GONE,
            ground.also(replace(hosts.UNIT_DOWN, look=unit_down), needs_read_write),
            ground.PROCESS_STOPPED,
            ground.GUEST_FROZEN,
        ),
    ),
    (
        "database and queue take what they are given",
        (
            stores.DATABASE_SILENT,
            stores.DATABASE_FULL,
            stores.QUEUE_SILENT,
            stores.QUEUE_BLOCKED,
            stores.QUEUE_REFUSES,
            stores.QUEUE_UNREACHABLE,
            stores.QUEUE_UNREAD,
        ),
    ),
    (
        "keystone vouches, and the APIs answer",
        (
            apis.KEYSTONE_KEYS,
            ground.also(openstack.API_SILENT, needs_process),
            apis.API_UNREACHABLE,
            apis.SERVICE_PASSWORD,
            apis.ENDPOINT_DEAD,
            apis.POLICY_CHANGED,
            apis.IMAGE_FILE_GONE,
            ground.also(openstack.OPENSTACK_REFUSES, needs_login),
        ),
    ),
    (
        "libvirt answers, and guests run",
        (
            ground.TUN_MISSING,
            ground.LIBVIRT_SILENT,
            guests.GUEST_GONE,
            guests.GUEST_OFF,
            guests.GUEST_PAUSED,
            guests.GUEST_UNKNOWN,
        ),
    ),
    (
        "nova and neutron hear from every host, and find room",
        (
            ground.RENAMED,
            ground.also(openstack.SERVICE_SILENT, needs_round_trips),
            scheduling.COMPUTE_DISABLED,
            scheduling.PROVIDER_MISSING,
            scheduling.PROVIDER_EMPTY,
            scheduling.ALLOCATIONS_ORPHANED,
            scheduling.RECORD_OF_NOBODY,
            servers.FITS_NO_HOST,
            servers.TASK_STUCK,
            servers.QUOTA_USED_UP,
            openstack.AGGREGATE_LACKS_HOST,
            openstack.AGGREGATE_LEFT_BEHIND,
        ),
    ),
    (
        "ports are bound, taps and routes are there, DHCP knows them",
        (
            ground.AGENT_FAILS,
            neutron.PORT_ELSEWHERE,
            fabric.TAP_UNREADY,
            neutron.PORT_DOWN,
            fabric.ROUTE_MISSING,
            fabric.DHCP_READ_ONLY,
            fabric.DHCP_ENTRY_MISSING,
        ),
    ),
    (
        "nothing on the way drops packets",
        (
            ground.CONNTRACK_FULL,
            ground.FORWARDING_OFF,
            ground.RP_FILTER_STRICT,
            ground.ONE_LEG_FOR_ALL,
            filters.FILTER_MISSING,
            filters.OTHER_FIREWALL,
            filters.FOREIGN_RULE,
            filters.RULE_MISSING,
            filters.FILTER_INCOMPLETE,
            filters.ROUTING_RULE,
        ),
    ),
    (
        "the fabric knows the way, out and back",
        (
            ways.WAY_IN_MISSING,
            fabric.SESSION_DOWN,
            fabric.BFD_FLAPS,
            fabric.ADDRESS_TWICE,
            fabric.PREFIX_FILTERED,
            fabric.FABRIC_MISSES,
            ways.METADATA_WAY_BACK,
        ),
    ),
)
#: What is told of servers, machines and hosts, and is on nobody's way.
OTHERS: Sequence[Check] = (
    machines.MACHINE_FAILED,
    machines.MACHINE_IN_MAINTENANCE,
    servers.SERVER_ERROR,
    servers.SERVER_RESTS,
    neutron.CLOSED_BY_RULES,
    neutron.GROUP_EMPTY,
    servers.USER_DATA,
    scheduling.COMPUTE_OFF_DUTY,
    hosts.HOST_OUTDATED,
    NOT_LOOKED_AT,
)
LINKS: Sequence[Check] = tuple(guarded(one) for one in (*(check for _, checks in STAGES for check in checks), *OTHERS))
_AGENT = frozenset({"neutron-l2isolate-agent", "l2isolate-dhcp"})
_GUESTS = frozenset({"libvirtd", "nova-compute"})
_FRR = frozenset({"frr"})
_QUEUE = frozenset({"rabbitmq-server", "mariadb", "neutron-server", "nova-conductor"})
_CONTROL = _QUEUE | {"keystone", "memcached", "nova-api", "nova-scheduler", "glance-api", "placement-api"}
_ALL = _AGENT | _GUESTS | _FRR | _CONTROL
#: What comes back by itself after a start, and is not judged before: check → units on its host, and on a controller.
COMES_BACK: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    hosts.UNIT_DOWN.id: (_ALL, frozenset()),
    openstack.API_SILENT.id: (_CONTROL, _CONTROL),
    openstack.OPENSTACK_REFUSES.id: (_CONTROL, _CONTROL),
    openstack.SERVICE_SILENT.id: (_AGENT | _GUESTS | _CONTROL, _QUEUE),
    apis.ENDPOINT_DEAD.id: (_CONTROL, _CONTROL),
    apis.SERVICE_PASSWORD.id: (frozenset(), frozenset({"keystone", "mariadb", "memcached"})),
    stores.QUEUE_REFUSES.id: (_CONTROL, _CONTROL),
    stores.QUEUE_UNREAD.id: (_ALL, _CONTROL),
    stores.QUEUE_UNREACHABLE.id: (frozenset(), _QUEUE),
    scheduling.PROVIDER_MISSING.id: (_GUESTS, _QUEUE),
    scheduling.PROVIDER_EMPTY.id: (_GUESTS, _QUEUE),
    neutron.PORT_DOWN.id: (_AGENT | _GUESTS, _QUEUE),
    ground.AGENT_FAILS.id: (_AGENT, _QUEUE),
    fabric.TAP_UNREADY.id: (_AGENT | _GUESTS, _QUEUE),
    fabric.ROUTE_MISSING.id: (_AGENT | _GUESTS, _QUEUE),
    fabric.DHCP_ENTRY_MISSING.id: (_AGENT | _GUESTS, _QUEUE),
    filters.FILTER_MISSING.id: (_AGENT, _QUEUE),
    filters.FILTER_INCOMPLETE.id: (_AGENT, _QUEUE),
    filters.RULE_MISSING.id: (_AGENT, frozenset()),
    fabric.SESSION_DOWN.id: (_FRR, frozenset()),
    fabric.BFD_FLAPS.id: (_FRR, frozenset()),
    fabric.PREFIX_FILTERED.id: (_FRR | _AGENT, frozenset()),
    fabric.FABRIC_MISSES.id: (_FRR | _AGENT, frozenset()),
}

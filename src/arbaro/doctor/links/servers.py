# SPDX-License-Identifier: Apache-2.0
"""A server: what nova says of it, whether its guest runs, whether its port is here, and who its rules let in."""

from collections.abc import Iterator, Mapping
from typing import Any

from arbaro.checks import ERROR, NOTE, WARNING, Check, Finding, Need, Spot
from arbaro.doctor import hostlooks
from arbaro.doctor.links.ground import needs_the_host, working
from arbaro.doctor.ports import moment, named, running, seen, server_ports
from arbaro.doctor.questions import (
    GROUPS,
    HYPERVISORS,
    IMAGES,
    OPENSTACK,
    PLACEMENT,
    PORTS,
    QUOTAS,
    SERVERS,
    ZONES,
)
from arbaro.doctor.site import SITE, client, controller, hosts_in, there
from arbaro.evidence import Evidence
from arbaro.hosts import COMPUTE

#: virDomainState, and what of virDomainPausedReason is a disk's fault.
RUNNING, PAUSED, IO_ERROR = 1, 3, 5
#: Seconds after which a task of nova's is not slow but stuck; building and moving may take longer.
STUCK = 900


def each_failed(evidence: Evidence) -> list[Spot]:
    """All servers in state ERROR."""
    return [
        Spot(one["host"] or "", number) for number, one in seen(evidence, SERVERS).items() if one["status"] == "ERROR"
    ]


def server_error(evidence: Evidence, spot: Spot) -> Finding | None:
    """A server is in state ERROR."""
    one = evidence.value(OPENSTACK, SERVERS)[spot.thing]
    why = one["fault"] or "nova does not say why"
    mend = (
        client(evidence, f"server delete {spot.thing}")
        if not one["launched"]
        else client(evidence, f"server reboot --hard {spot.thing}")
    )
    return Finding(one["name"], f"it failed: {why}", f"at {one['fault_at'] or one['updated']}", mend)


def needs_all_that_builds(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """A server is built by the whole control plane and by a host."""
    host = controller(evidence)
    yield from working(
        host,
        "nova-api",
        "nova-conductor",
        "nova-scheduler",
        "neutron-server",
        "glance-api",
        "placement-api",
        "keystone",
        "rabbitmq-server",
        "mariadb",
    )
    for check in ("queue-silent", "queue-blocked", "database-silent", "database-full", "keystone-keys"):
        yield check, Spot(host)
    yield from (("queue-refuses", Spot(host, user)) for user in evidence.should(SITE, "queue users", ()))
    yield from (("endpoint-dead", Spot(thing=one["url"])) for one in seen(evidence, "catalog") or [])
    yield from (("image-file-gone", Spot(host, image)) for image in seen(evidence, "images"))
    yield "fits-no-host", Spot(thing=spot.thing)
    for one in hosts_in(evidence, COMPUTE):
        yield from needs_building_host(evidence, Spot(one))


def needs_building_host(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """What a host needs to start a server."""
    yield from needs_the_host(evidence, spot)
    yield from working(spot.host, "nova-compute", "libvirtd", "neutron-l2isolate-agent", "l2isolate-dhcp")
    for check in ("libvirt-silent", "tun-missing", "compute-disabled"):
        yield check, Spot(spot.host)
    yield from (
        ("name-changed", Spot(spot.host, path))
        for path in (seen(evidence, hostlooks.NAMES, spot.host) or {}).get("said", {})
    )
    yield from (("disk-full", Spot(spot.host, target)) for target in seen(evidence, hostlooks.DISKS, spot.host))
    yield from (
        ("service-password", Spot(spot.host, f"{one['file']} [{one['section']}]"))
        for one in seen(evidence, hostlooks.LOGINS, spot.host) or []
    )
    yield "service-silent", Spot(spot.host, "nova-compute")
    yield "service-silent", Spot(spot.host, "neutron-l2isolate-agent")
    yield from (("allocations-orphaned", Spot(spot.host, number)) for number in seen(evidence, "placement"))


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
        client(evidence, f"server reboot --hard {spot.thing}"),
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
        there(evidence, spot.host, f"virsh resume {name}"),
    )


def guest_off(evidence: Evidence, spot: Spot) -> Finding | None:
    """A server's guest does not run, and nobody asked nova for that."""
    state = _state(evidence, spot)
    if not state or state[0] in (RUNNING, PAUSED):
        return None
    saw = f"the guest of {named(evidence, spot.thing)} does not run (libvirt's state {state[0]})"
    return Finding(spot.host, saw, "nova believes that it runs", client(evidence, f"server start {spot.thing}"))


def needs_disks(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """A guest is paused where its disk has no room."""
    yield from needs_libvirt(evidence, spot)
    yield from (("disk-full", Spot(spot.host, target)) for target in seen(evidence, hostlooks.DISKS, spot.host))


def each_bound(evidence: Evidence) -> list[Spot]:
    """All ports of servers that are meant to run."""
    return [Spot(port.host, number) for number, port in server_ports(evidence).items()]


def port_elsewhere(evidence: Evidence, spot: Spot) -> Finding | None:
    """Neutron has a server's port bound to another host than nova has the server on, or to none."""
    port = server_ports(evidence)[spot.thing]
    name = named(evidence, port.server)
    if port.its["vif"] in ("binding_failed", "unbound"):
        saw = f"neutron has not bound the port of {name} ({port.its['vif']})"
    elif port.its["host"] != port.host:
        saw = f"neutron has the port of {name} on {port.its['host']}, nova the server on {port.host}"
    else:
        return None
    mend = client(evidence, f"server reboot --hard {port.server}")
    return Finding(spot.host, saw, "the agent there makes no way to it", mend)


def port_down(evidence: Evidence, spot: Spot) -> Finding | None:
    """Neutron calls a running server's port down."""
    port = server_ports(evidence)[spot.thing]
    if port.its["status"] == "ACTIVE":
        return None
    saw = f"neutron calls the port of {named(evidence, port.server)} {port.its['status']}"
    return Finding(spot.host, saw, "", there(evidence, spot.host, "systemctl restart neutron-l2isolate-agent"))


def needs_agent(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """A port is called ready by its host's agent, through the queue, by neutron-server."""
    yield from needs_the_host(evidence, spot)
    yield from working(spot.host, "neutron-l2isolate-agent")
    yield from working(controller(evidence), "neutron-server", "rabbitmq-server")
    yield "queue-blocked", Spot(controller(evidence))
    yield "queue-refuses", Spot(controller(evidence), "neutron")
    yield "service-silent", Spot(spot.host, "neutron-l2isolate-agent")
    yield "tap-unready", spot
    port = server_ports(evidence)[spot.thing]
    yield "guest-gone", Spot(port.host, port.server)
    yield "guest-off", Spot(port.host, port.server)


def closed_by_rules(evidence: Evidence, spot: Spot) -> Finding | None:
    """No rule lets anybody in. That may be on purpose."""
    port = server_ports(evidence)[spot.thing]
    groups = evidence.value(OPENSTACK, GROUPS)
    if not port.its["secured"] or any(_lets_in(rule) for rule in _rules(groups, port.its["groups"])):
        return None
    own = [groups[one]["name"] for one in port.its["groups"] if one in groups]
    nearest = next(
        (_why_not(rule, evidence) for rule in _rules(groups, port.its["groups"], every=True)),
        "it has no rule for packets that come in",
    )
    mend = client(evidence, f"security group rule create --protocol icmp {own[0] if own else 'GROUP'}")
    return Finding(
        named(evidence, port.server),
        f"its security groups ({', '.join(own) or 'none'}) let in neither ping nor TCP: {nearest}",
        "that may be on purpose",
        mend,
    )


def _rules(groups: Mapping[str, Any], own: list[str], *, every: bool = False) -> Iterator[Mapping[str, Any]]:
    for group in own:
        for rule in groups.get(group, {"rules": []})["rules"]:
            if rule["direction"] == "ingress" and (every or rule["ethertype"] == "IPv4"):
                yield rule


def _lets_in(rule: Mapping[str, Any]) -> bool:
    """Say whether a rule lets somebody in who is not known by a group."""
    return not rule["remote_group_id"] and rule["protocol"] in (None, "any", "icmp", "tcp", "1", "6")


def _why_not(rule: Mapping[str, Any], evidence: Evidence) -> str:
    if rule["ethertype"] != "IPv4":
        return f"a rule for {rule['protocol'] or 'any'} is of {rule['ethertype']}"
    if rule["remote_group_id"]:
        name = seen(evidence, GROUPS).get(rule["remote_group_id"], {}).get("name", rule["remote_group_id"])
        return f"its rules let in members of {name} only"
    return f"its rules let in {rule['protocol']} only"


def each_remote_group(evidence: Evidence) -> list[Spot]:
    """Each rule that lets in a group's members, of groups that a running server has."""
    groups = seen(evidence, GROUPS)
    used = {group for port in server_ports(evidence).values() for group in port.its["groups"]}
    return [
        Spot(thing=f"{group}/{rule['id']}")
        for group in sorted(used & set(groups))
        for rule in _rules(groups, [group])
        if rule["remote_group_id"]
    ]


def group_empty(evidence: Evidence, spot: Spot) -> Finding | None:
    """A rule lets in the members of a group that has none."""
    group, _, number = spot.thing.partition("/")
    groups = evidence.value(OPENSTACK, GROUPS)
    rule = next(one for one in groups[group]["rules"] if one["id"] == number)
    remote = rule["remote_group_id"]
    if any(remote in port["groups"] for port in evidence.value(OPENSTACK, PORTS).values()):
        return None
    name = groups.get(remote, {}).get("name", remote)
    return Finding(
        groups[group]["name"],
        f"its rule for {rule['protocol'] or 'any'} lets in members of {name}, and {name} has none",
        "that may be on purpose",
        client(evidence, f"server add security group SERVER {name}"),
    )


def each_with_data(evidence: Evidence) -> list[Spot]:
    """All servers with user data."""
    return [
        Spot(one["host"] or "", number) for number, one in seen(evidence, SERVERS).items() if one["user_data"] != "none"
    ]


def user_data_no_shebang(evidence: Evidence, spot: Spot) -> Finding | None:
    """A server's user data is of no kind that cloud-init knows: nothing runs it."""
    one = evidence.value(OPENSTACK, SERVERS)[spot.thing]
    if one["user_data"] != "unknown":
        return None
    return Finding(
        one["name"],
        "its user data begins with nothing that is known (#!, #cloud-config, …), so nothing runs it",
        "a script's first line must begin with #!",
        client(evidence, f"server rebuild --user-data FILE {spot.thing}"),
    )


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
    return Finding(spot.host, saw, means, there(evidence, spot.host, f"virsh destroy {name}"))


def each_busy(evidence: Evidence) -> list[Spot]:
    """All servers to which something is being done."""
    return [Spot(one["host"] or "", number) for number, one in seen(evidence, SERVERS).items() if one["task_state"]]


def task_stuck(evidence: Evidence, spot: Spot) -> Finding | None:
    """Something was begun with a server long ago, and has not ended: nova refuses everything else meanwhile."""
    one = evidence.value(OPENSTACK, SERVERS)[spot.thing]
    age = evidence.facts[OPENSTACK][SERVERS].at - moment(one["updated"])
    if age < STUCK:
        return None
    saw = f"{one['name']} is {one['task_state']} since {age / 60:.0f} min"
    means = "nova refuses everything else until that ends"
    return Finding(spot.host or one["name"], saw, means, client(evidence, f"server set --state active {spot.thing}"))


def each_refused(evidence: Evidence) -> list[Spot]:
    """All servers for which nova found no host."""
    found = seen(evidence, SERVERS).items()
    return [Spot(thing=number) for number, one in found if one["status"] == "ERROR" and not one["host"]]


def fits_no_host(evidence: Evidence, spot: Spot) -> Finding | None:
    """A server asks for what no host has: a zone, an architecture, or more than the largest host."""
    one = evidence.value(OPENSTACK, SERVERS)[spot.thing]
    zones = {zone: hosts for zone, hosts in evidence.value(OPENSTACK, ZONES).items() if hosts}
    image = evidence.value(OPENSTACK, IMAGES).get(one["image"], {"architecture": "", "name": ""})
    here = {hypervisor["architecture"] for hypervisor in evidence.value(OPENSTACK, HYPERVISORS)} - {""}
    if one["zone"] and zones and one["zone"] not in zones:
        saw = (
            f"it asks for the availability zone {one['zone']}, and the zones with hosts are {', '.join(sorted(zones))}"
        )
        mend = client(evidence, "availability zone list --compute")
        misplaced = [zone for zone in zones if zone not in ("nova", "internal")]
        if one["zone"] == "nova" and misplaced:
            mend = client(evidence, f"aggregate list --long  # a zone of its own took the hosts out of {one['zone']}")
    elif image["architecture"] and here and image["architecture"] not in here:
        saw = f"its image {image['name']} is for {image['architecture']}, and the hosts are {', '.join(sorted(here))}"
        mend = client(evidence, f"image unset --property hw_architecture {image['name']}")
    elif lack := _too_large(evidence, one["wants"]):
        saw, mend = f"its flavor asks for {lack}", client(evidence, "flavor list")
    else:
        return None
    return Finding(one["name"], saw, "so nova found no host for it", mend)


def _too_large(evidence: Evidence, wants: Mapping[str, int]) -> str:
    """What of a flavor is more than the largest host has, all servers away."""
    kinds = {"vcpus": "VCPU", "ram": "MEMORY_MB", "disk": "DISK_GB"}
    for word, kind in kinds.items():
        rooms = [
            (one["inventories"][kind]["total"] - one["inventories"][kind]["reserved"])
            * one["inventories"][kind]["allocation_ratio"]
            for one in evidence.value(OPENSTACK, PLACEMENT).values()
            if kind in one["inventories"]
        ]
        if rooms and wants[word] > max(rooms):
            return f"{wants[word]} {kind}, and the largest host has {max(rooms):.0f}"
    return ""


def each_project(evidence: Evidence) -> list[Spot]:
    """All projects that have servers."""
    return [Spot(thing=project) for project in seen(evidence, QUOTAS)]


def quota_used_up(evidence: Evidence, spot: Spot) -> Finding | None:
    """A project's quota is used up, and servers that never started count."""
    full = [kind for kind, (used, most) in evidence.value(OPENSTACK, QUOTAS)[spot.thing].items() if used >= most]
    found = evidence.value(OPENSTACK, SERVERS).items()
    dead = [
        number
        for number, one in found
        if one["project"] == spot.thing and one["status"] == "ERROR" and not one["launched"]
    ]
    if not full or not dead:
        return None
    used, most = evidence.value(OPENSTACK, QUOTAS)[spot.thing][full[0]]
    return Finding(
        f"project {spot.thing}",
        f"its quota of {full[0]} is used up ({used} of {most}), and {len(dead)} servers that never started count",
        "it gets no new server",
        client(evidence, f"server delete {' '.join(dead)}"),
    )


def each_resting(evidence: Evidence) -> list[Spot]:
    """All servers that do not run because somebody asked for it."""
    states = ("stopped", "paused", "suspended", "shelved", "shelved_offloaded", "soft-delete", "rescued")
    return [
        Spot(one["host"] or "", number) for number, one in seen(evidence, SERVERS).items() if one["vm_state"] in states
    ]


def server_rests(evidence: Evidence, spot: Spot) -> Finding | None:
    """A server does not run, as was asked for."""
    one = evidence.value(OPENSTACK, SERVERS)[spot.thing]
    verbs = {
        "stopped": "start",
        "paused": "unpause",
        "suspended": "resume",
        "rescued": "unrescue",
        "soft-delete": "restore",
    }
    mend = client(evidence, f"server {verbs.get(one['vm_state'], 'unshelve')} {spot.thing}")
    return Finding(one["name"], f"it is {one['vm_state']}, as was asked for", "", mend)


GUEST_UNKNOWN = Check("guest-unknown", ERROR, each_guest, guest_unknown, needs_libvirt)
TASK_STUCK = Check("task-stuck", ERROR, each_busy, task_stuck, needs_all_that_builds)
FITS_NO_HOST = Check("fits-no-host", ERROR, each_refused, fits_no_host)
QUOTA_USED_UP = Check("quota-used-up", WARNING, each_project, quota_used_up)
SERVER_ERROR = Check("server-error", NOTE, each_failed, server_error, needs_all_that_builds)
SERVER_RESTS = Check("server-rests", NOTE, each_resting, server_rests)
GUEST_GONE = Check("guest-gone", ERROR, each_running, guest_gone, needs_libvirt)
GUEST_PAUSED = Check("guest-paused", ERROR, each_running, guest_paused, needs_disks)
GUEST_OFF = Check("guest-off", ERROR, each_running, guest_off, needs_disks)
PORT_ELSEWHERE = Check("port-elsewhere", ERROR, each_bound, port_elsewhere, needs_agent)
PORT_DOWN = Check("port-down", ERROR, each_bound, port_down, needs_agent)
CLOSED_BY_RULES = Check("no-ingress-rule", NOTE, each_bound, closed_by_rules)
GROUP_EMPTY = Check("group-empty", NOTE, each_remote_group, group_empty)
USER_DATA = Check("user-data-no-shebang", NOTE, each_with_data, user_data_no_shebang)

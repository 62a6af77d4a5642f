# SPDX-License-Identifier: Apache-2.0
"""Servers: what nova says of them, what they were asked for, and what no host can give them."""

from collections.abc import Iterator, Mapping

from arbaro.checks import ERROR, NOTE, Check, Finding, Need, Spot
from arbaro.doctor import hostlooks
from arbaro.doctor.links.ground import needs_the_host, working
from arbaro.doctor.ports import moment, seen
from arbaro.doctor.questions import HYPERVISORS, IMAGES, OPENSTACK, PLACEMENT, QUOTAS, SERVERS, ZONES
from arbaro.doctor.site import SITE, client, controller, hosts_in
from arbaro.evidence import Evidence
from arbaro.hosts import COMPUTE

#: Seconds after which a task of nova's is not slow but stuck; building and moving may take longer.
STUCK = 900
#: What may take an hour with a large disk.
SLOW, LONG = ("image_", "migrating", "resize_", "shelving", "rebuild"), 3600


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
        client(evidence, "server delete", spot.thing)
        if not one["launched"]
        else client(evidence, "server reboot --hard", spot.thing)
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
    yield "image-file-gone", Spot(host, seen(evidence, SERVERS)[spot.thing]["image"])
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


def each_busy(evidence: Evidence) -> list[Spot]:
    """All servers to which something is being done."""
    return [Spot(one["host"] or "", number) for number, one in seen(evidence, SERVERS).items() if one["task_state"]]


def task_stuck(evidence: Evidence, spot: Spot) -> Finding | None:
    """Something was begun with a server long ago, and has not ended: nova refuses everything else meanwhile."""
    one = evidence.value(OPENSTACK, SERVERS)[spot.thing]
    age = evidence.facts[OPENSTACK][SERVERS].at - moment(one["updated"])
    moving = {migration["instance_uuid"] for migration in seen(evidence, "migrations") or []}
    if spot.thing in moving or age < (LONG if one["task_state"].startswith(SLOW) else STUCK):
        return None
    saw = f"{one['name']} is {one['task_state']} since {age / 60:.0f} min"
    means = "nova refuses everything else until that ends"
    return Finding(spot.host or one["name"], saw, means, client(evidence, "server set --state active", spot.thing))


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
            mend = client(evidence, "aggregate list --long")
    elif image["architecture"] and here and image["architecture"] not in here:
        saw = f"its image {image['name']} is for {image['architecture']}, and the hosts are {', '.join(sorted(here))}"
        mend = client(evidence, "image unset --property hw_architecture", one["image"])
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
        client(evidence, "server delete", *dead),
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
        client(evidence, "server rebuild --user-data FILE", spot.thing),
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
    mend = client(evidence, f"server {verbs.get(one['vm_state'], 'unshelve')}", spot.thing)
    return Finding(one["name"], f"it is {one['vm_state']}, as was asked for", "", mend)


FITS_NO_HOST = Check("fits-no-host", NOTE, each_refused, fits_no_host)
TASK_STUCK = Check("task-stuck", ERROR, each_busy, task_stuck, needs_all_that_builds)
QUOTA_USED_UP = Check("quota-used-up", NOTE, each_project, quota_used_up)
SERVER_ERROR = Check("server-error", NOTE, each_failed, server_error, needs_all_that_builds)
SERVER_RESTS = Check("server-rests", NOTE, each_resting, server_rests)
USER_DATA = Check("user-data-no-shebang", NOTE, each_with_data, user_data_no_shebang)

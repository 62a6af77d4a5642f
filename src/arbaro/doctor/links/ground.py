# SPDX-License-Identifier: Apache-2.0
"""What everything on a host stands on: processes that go on, room on its disks, libvirt, and the kernel's settings."""

from collections.abc import Callable, Iterable, Iterator
from shlex import quote

from arbaro.checks import ERROR, WARNING, Check, Finding, Need, Spot
from arbaro.cluster.checks.hosts import HOST_DOWN, HOST_UNREACHABLE, UNIT_DOWN, each_thing
from arbaro.doctor import hostlooks
from arbaro.doctor.ports import moment, seen
from arbaro.doctor.site import each_fabric_host, each_host_in, there
from arbaro.evidence import Evidence
from arbaro.hosts import COMPUTE, TOR

#: Bytes below which a file system is full for what is kept there, and the share of it that must be free.
FEW, SHARE = 512 * 2**20, 0.02
#: For the disks of servers: with less than this, hardly a server finds room.
FEW_FOR_SERVERS = 2**30
#: Seconds within which an agent that fails says so again.
STILL = 75
INSTANCES = "/var/lib/nova/instances"


def needs_the_host(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """Nothing is seen on a host that does not run, or does not answer."""
    yield HOST_DOWN.id, Spot(spot.host)
    yield HOST_UNREACHABLE.id, Spot(spot.host)


def working(host: str, *units: str) -> Iterator[Need]:
    """The need that these units run and go on."""
    for unit in units:
        yield UNIT_DOWN.id, Spot(host, unit)
        yield PROCESS_STOPPED.id, Spot(host, unit)


def also(check: Check, more: Callable[[Evidence, Spot], Iterable[Need]]) -> Check:
    """The same check, with more that it stands on."""

    def needs(evidence: Evidence, spot: Spot) -> Iterator[Need]:
        yield from check.needs(evidence, spot)
        yield from more(evidence, spot)

    return Check(check.id, check.severity, check.spots, check.look, needs)


def process_stopped(evidence: Evidence, spot: Spot) -> Finding | None:
    """A process of a service or a server is stopped: it is there, and does nothing."""
    found = evidence.value(spot.host, hostlooks.STOPPED).get(spot.thing)
    if found is None:
        return None
    return Finding(
        spot.host,
        f"{spot.thing} does nothing: process {found['pid']} ({found['command']}) is stopped, state {found['state']}",
        "its unit is active all the same: that only means that the process exists",
        there(evidence, spot.host, f"systemctl restart {spot.thing}"),
    )


def needs_unit(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """A unit that is not active is a finding of its own."""
    yield from needs_the_host(evidence, spot)
    yield UNIT_DOWN.id, spot


def each_scope(evidence: Evidence) -> list[Spot]:
    """All stopped processes that are of no service: guests, above all."""
    hosts = [host for host, facts in evidence.facts.items() if hostlooks.STOPPED in facts]
    stopped = {host: evidence.facts[host][hostlooks.STOPPED] for host in hosts}
    return [Spot(host, unit) for host, one in stopped.items() for unit in one.value or {} if unit.endswith(".scope")]


def guest_frozen(evidence: Evidence, spot: Spot) -> Finding | None:
    """A guest's process is stopped: its server is silent, and libvirt may hang with it."""
    found = evidence.value(spot.host, hostlooks.STOPPED)[spot.thing]
    if not found["command"].startswith("qemu"):
        return None
    name = spot.thing.replace("\\x2d", "-").removesuffix(".scope")
    return Finding(
        spot.host,
        f"the guest {name.partition('-instance-')[2] and 'instance-' + name.partition('-instance-')[2]} is frozen: "
        f"its process {found['pid']} is in state {found['state']}",
        "its server is silent, and what asks libvirt for it hangs",
        there(evidence, spot.host, f"kill -CONT {int(found['pid'])}"),
    )


def each_disk(evidence: Evidence) -> list[Spot]:
    """All file systems of all hosts that hold what services keep. Raises NotSeen only where it is looked."""
    seen = ((host, facts.get(hostlooks.DISKS)) for host, facts in evidence.facts.items())
    return [Spot(host, target) for host, disks in seen if disks and not disks.error for target in disks.value]


def disk_full(evidence: Evidence, spot: Spot) -> Finding | None:
    """A file system has no room for what is kept there."""
    disk = evidence.value(spot.host, hostlooks.DISKS)[spot.thing]
    free, size = disk["free"], disk["size"]
    least = max(FEW, SHARE * size)
    if disk["files"] and disk["files free"] < SHARE * disk["files"]:
        saw = f"{spot.thing} has no inodes left: {disk['files free']} of {disk['files']} are free"
        mend = there(evidence, spot.host, f"du --inodes -x --max-depth=2 {quote(spot.thing)}")
        return Finding(spot.host, saw, "no file can be made there", mend)
    if spot.thing == INSTANCES or (spot.thing == "/" and spot.host in evidence.places("instances on /")):
        least = max(least, FEW_FOR_SERVERS)
    if free >= least:
        return None
    means = "servers find no room here" if spot.thing == INSTANCES else "services cannot write there"
    command = f"df -h {spot.thing}"
    mend = there(evidence, spot.host, f"du -xh --max-depth=2 {quote(spot.thing)}")
    if spot.thing == INSTANCES and size < FEW_FOR_SERVERS:
        # A file system that is smaller than any server's disk was mounted over the right one.
        mend = there(evidence, spot.host, f"umount {quote(spot.thing)}")
        means = f"servers find no room here: a file system of {size // 2**20} MiB is mounted there ({command})"
    return Finding(spot.host, f"{spot.thing} has {free // 2**20} MiB free of {size // 2**20}", means, mend)


def libvirt_silent(evidence: Evidence, spot: Spot) -> Finding | None:
    """libvirt does not answer, or not in time."""
    found = evidence.value(spot.host, hostlooks.LIBVIRT)
    if found["code"] == 0:
        return None
    why = "no answer in 4 s" if found["code"] in (124, 137) else found["said"]
    return Finding(
        spot.host,
        f"libvirt does not answer: {why}",
        "nova-compute waits for it: nothing starts, stops or is deleted here",
        there(evidence, spot.host, "systemctl restart libvirtd"),
    )


def needs_libvirtd(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """libvirt is asked by its daemon, which asks guests."""
    yield from needs_the_host(evidence, spot)
    yield from working(spot.host, "libvirtd")
    yield from ((GUEST_FROZEN.id, one) for one in each_scope(evidence) if one.host == spot.host)


def tun_missing(evidence: Evidence, spot: Spot) -> Finding | None:
    """/dev/net/tun is not there: no tap can be made."""
    if evidence.value(spot.host, hostlooks.TUN) == "there":
        return None
    return Finding(
        spot.host,
        "/dev/net/tun is missing",
        "nova can make no tap, so no server starts here",
        there(evidence, spot.host, "mknod -m 0666 /dev/net/tun c 10 200"),
    )


def agent_fails(evidence: Evidence, spot: Spot) -> Finding | None:
    """The network agent works, and fails at what it does, again and again."""
    seen = evidence.facts[spot.host][hostlooks.AGENT_LOG]
    found = evidence.value(spot.host, hostlooks.AGENT_LOG)
    if not found["errors"] or seen.at - moment(found["when"]) > STILL:
        return None
    return Finding(
        spot.host,
        f"the network agent fails: {found['said']}",
        "new servers wait for it, and fail after two minutes",
        there(evidence, spot.host, "journalctl -u neutron-l2isolate-agent -n 50"),
    )


def needs_what_it_asks(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """The agent asks neutron-server by the queue, and the kernel."""
    yield from needs_the_host(evidence, spot)
    yield from working(spot.host, "neutron-l2isolate-agent")
    controllers = [host for host, groups in (evidence.should("site", "groups") or {}).items() if "controller" in groups]
    for host in controllers:
        yield from needs_the_host(evidence, Spot(host))
        yield from working(host, "neutron-server", "rabbitmq-server", "mariadb")
        for check in ("queue-silent", "queue-blocked", "database-silent", "database-full"):
            yield check, Spot(host)
        yield "queue-refuses", Spot(host, "neutron")
    yield "queue-unreachable", spot
    yield from (("other-firewall", Spot(spot.host, table)) for table in seen(evidence, hostlooks.RULES, spot.host))


def each_tree(evidence: Evidence) -> list[Spot]:
    """All containers of computes whose unpacked image is not there."""
    hosts = each_host_in(COMPUTE)(evidence)
    return [Spot(one.host, unit) for one in hosts for unit in seen(evidence, hostlooks.AGENT_TREES, one.host)]


def agent_image_gone(evidence: Evidence, spot: Spot) -> Finding | None:
    """The unpacked image that a unit's container runs from is not there."""
    path = evidence.value(spot.host, hostlooks.AGENT_TREES)[spot.thing]
    play = str(evidence.should("site", "configure", "")).replace("site.yml", "upgrade-agent.yml")
    mend = play.format(host=spot.host) or there(evidence, spot.host, f"ls -la {quote(path)}")
    return Finding(spot.host, f"the image of {spot.thing} is not there ({path})", "it cannot start any more", mend)


def each_agent(evidence: Evidence) -> list[Spot]:
    """The computes whose network agent is this one."""
    hosts = each_host_in(COMPUTE)(evidence)
    return [spot for spot in hosts if "neutron-l2isolate-agent" in evidence.should(spot.host, "units", ())]


def conntrack_full(evidence: Evidence, spot: Spot) -> Finding | None:
    """The kernel's table of connections is full: new ones are dropped at random."""
    count, most = evidence.value(spot.host, hostlooks.CONNTRACK)
    if count < 0.95 * most:
        return None
    return Finding(
        spot.host,
        f"the kernel tracks {count} connections, and {most} is all that it can",
        "new connections are dropped at random",
        there(evidence, spot.host, f"sysctl -w net.netfilter.nf_conntrack_max={int(most) * 2}"),
    )


def kernel_setting(name: str, *good: str, means: str) -> Callable[[Evidence, Spot], Finding | None]:
    """A setting of the kernel must have one of these values; the first is the one that our roles write."""

    def look(evidence: Evidence, spot: Spot) -> Finding | None:
        value = evidence.value(spot.host, hostlooks.SYSCTLS)[name]
        if value in good:
            return None
        mend = there(evidence, spot.host, "sysctl --load /etc/sysctl.d/60-fabric.conf")
        return Finding(spot.host, f"{name} is {value}, and has to be {good[0]}", means, mend)

    return look


def each_name(evidence: Evidence) -> list[Spot]:
    """All files on computes that give their service another name."""
    seen = ((host, facts.get(hostlooks.NAMES)) for host, facts in evidence.facts.items())
    return [Spot(host, path) for host, names in seen if names and not names.error for path in names.value["said"]]


def reports_as_another(evidence: Evidence, spot: Spot) -> Finding | None:
    """A service is told to report under another name than its host's."""
    names = evidence.value(spot.host, hostlooks.NAMES)
    own, said = names["own"], names["said"][spot.thing]
    # The machines' own nova-compute is on a controller, which is not looked at here.
    if said in (own, spot.host):
        return None
    unit = "nova-compute" if "/nova/" in spot.thing else "neutron-l2isolate-agent"
    means = "nova and neutron take it for another host, and the true one for dead"
    mend = there(evidence, spot.host, f"sed -i '/^host *=/d' {quote(spot.thing)} && systemctl restart {unit}")
    return Finding(spot.host, f"{spot.thing} says host = {said}", means, mend)


PROCESS_STOPPED = Check("process-stopped", ERROR, each_thing("units"), process_stopped, needs_unit)
GUEST_FROZEN = Check("guest-frozen", ERROR, each_scope, guest_frozen, needs_the_host)
DISK_FULL = Check("disk-full", ERROR, each_disk, disk_full, needs_the_host)
LIBVIRT_SILENT = Check("libvirt-silent", ERROR, each_host_in(COMPUTE), libvirt_silent, needs_libvirtd)
TUN_MISSING = Check("tun-missing", ERROR, each_host_in(COMPUTE), tun_missing, needs_the_host)
AGENT_IMAGE_GONE = Check("agent-image-gone", ERROR, each_tree, agent_image_gone, needs_the_host)
AGENT_FAILS = Check("agent-fails", ERROR, each_agent, agent_fails, needs_what_it_asks)
CONNTRACK_FULL = Check("conntrack-full", ERROR, each_host_in(COMPUTE), conntrack_full, needs_the_host)
FORWARDING_OFF = Check(
    "forwarding-off",
    ERROR,
    each_fabric_host(COMPUTE, TOR),
    kernel_setting(
        "net.ipv4.ip_forward", "1", means="the kernel forwards nothing: no packet gets to a server or from one"
    ),
    needs_the_host,
)
RP_FILTER_STRICT = Check(
    "rp-filter-strict",
    ERROR,
    each_fabric_host(COMPUTE, TOR),
    kernel_setting(
        "net.ipv4.conf.all.rp_filter",
        "0",
        "2",
        means="packets that come by another way than they would leave are dropped: no metadata, for example",
    ),
    needs_the_host,
)
ONE_LEG_FOR_ALL = Check(
    "one-leg-for-all",
    WARNING,
    each_fabric_host(COMPUTE),
    kernel_setting("net.ipv4.fib_multipath_hash_policy", "1", means="all packets of two hosts take the same switch"),
    needs_the_host,
)
RENAMED = Check("name-changed", ERROR, each_name, reports_as_another, needs_the_host)

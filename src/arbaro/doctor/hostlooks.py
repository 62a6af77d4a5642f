# SPDX-License-Identifier: Apache-2.0
"""What the doctor looks at on a host, in addition to what `status` looks at: read-only commands, and how each is read.

A command that may hang with what it asks (libvirt, the queue, the database) has its own limit inside, and hanging is
then a value, not a hole: that somebody does not answer is evidence.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arbaro.doctor.reading import (
    read_addresses,
    read_agent_log,
    read_bfd,
    read_bgp,
    read_database,
    read_disks,
    read_domain_states,
    read_domains,
    read_elements,
    read_image_files,
    read_keys,
    read_names,
    read_pairs,
    read_policies,
    read_policy_routing,
    read_queue,
    read_refusals,
    read_routes,
    read_rules,
    read_starts,
    read_stopped,
    read_sysctls,
    read_two,
)
from arbaro.hosts import COMPUTE, CONTROLLER, TOR, Host
from arbaro.looks import Look

#: Facts, by the names under which checks ask for them.
STOPPED, STARTED, DISKS, NAMES = "stopped processes", "start times", "disks", "names in configuration"
AGENT_LOG, CONNTRACK = "the agent's log", "tracked connections"
SYSCTLS, ROUTES, ADDRESSES, RULES = "sysctls", "routes", "addresses", "packet filter"
LIBVIRT, DOMAIN_STATES, TUN = "libvirt", "domain states", "tun"
BGP_ROUTES, BFD, REFUSALS, POLICY_ROUTING = "BGP routes", "BFD", "FRR's refusals", "policy routing"
SERVED_TAPS, QUEUE_LOGINS, AGENT_TREES = "taps in the filter", "logins to the queue", "the agents' images"
DHCP_ENTRIES, DHCP_MOUNT = "DHCP entries", "DHCP's file system"
QUEUE, DATABASE, KEYS, LOGINS, POLICIES = "queue", "database", "keystone's keys", "logins", "policies"
IMAGE_FILES, WAY_TO_GUESTS, URLS = "image files", "the way to servers", "endpoints"

#: What must have been looked at on a host of each group, and of any, before anybody calls it well.
OF = {
    "": ("state", "SSH", "units", STOPPED, DISKS),
    COMPUTE: (LIBVIRT, DOMAIN_STATES, TUN, NAMES, LOGINS),
    CONTROLLER: (QUEUE, DATABASE, KEYS, LOGINS, POLICIES, IMAGE_FILES),
}
#: And where servers are behind a fabric of routers.
FABRIC = (SYSCTLS, ROUTES, ADDRESSES, RULES, POLICY_ROUTING, BGP_ROUTES, BFD)
OF_FABRIC = {COMPUTE: FABRIC, TOR: FABRIC}

DHCP = "/var/lib/arbaro-l2isolate/dhcp"
#: Where a full file system does harm, and what it harms.
DIRECTORIES = (
    "/",
    "/var/lib/nova/instances",
    "/var/lib/glance/images",
    "/var/lib/mysql",
    "/var/lib/rabbitmq",
    "/var/log",
)
#: Files in which services keep their logins, and the name under which they report.
CONFIGURATION = (
    "/etc/nova/*.conf",
    "/etc/neutron/*.conf",
    "/etc/neutron/*.ini",
    "/etc/glance/*.conf",
    "/etc/placement/*.conf",
)
#: RabbitMQ's own answer, in one Erlang expression: what blocks publishers, what waits unread, who is connected.
_ASK_QUEUE = """
Queues = [[{name, element(4, N)}, {vhost, element(2, N)}, {messages, M}, {consumers, C}]
          || V <- rabbit_vhost:list_names(),
             [{name, N}, {messages, M}, {consumers, C}] <- rabbit_amqqueue:info_all(V, [name, messages, consumers])],
Users = [U || [{user, U}] <- rabbit_networking:connection_info_all([user])],
Alarms = [case A of {{resource_limit, R, _}, _} -> atom_to_binary(R, utf8); _ -> <<"other">> end
          || A <- rabbit_alarm:get_alarms()],
Told = #{queues => [maps:from_list(Q) || Q <- Queues], users => Users, alarms => Alarms},
io:format("~s~n", [rabbit_json:encode(Told)]).
"""


def looks(host: Host, units: Sequence[str], wanted: "Wishes") -> Iterator[Look]:
    """All that is looked at on a host of these groups."""
    yield from _of_any(units)
    if host.is_a(COMPUTE):
        yield from _of_compute()
    if host.is_a(COMPUTE) and wanted.fabric:
        yield from _of_l2isolate()
    if host.is_a(COMPUTE) or host.is_a(TOR):
        yield from _of_fabric() if wanted.fabric else ()
    if host.is_a(CONTROLLER):
        yield from _of_controller(wanted)
    if host.is_a(CONTROLLER) or host.is_a(COMPUTE):
        yield _python(LOGINS, "logins_there.py", CONFIGURATION, 12)
        yield _python(QUEUE_LOGINS, "queue_logins_there.py", CONFIGURATION, 12)
        if wanted.urls:
            yield _python(URLS, "urls_there.py", wanted.urls, 12)


@dataclass(frozen=True)
class Wishes:
    """What is known before the hosts are looked at: addresses to ask, one that stands for all servers, policy files."""

    urls: Sequence[str] = ()
    guest: str = ""
    policies: Sequence[str] = ()
    #: Servers are behind a fabric of routers (network driver l2isolate).
    fabric: bool = True


def _of_any(units: Sequence[str]) -> Iterator[Look]:
    yield Look(STOPPED, ["ps", "-ww", "-eo", "stat=,pid=,comm=,unit="], read_stopped)
    names = [f"{unit}.service" for unit in units]
    show = ["systemctl", "show", "--timestamp=unix", "--property=Id,ActiveEnterTimestamp,Result,NRestarts"]
    if names:
        yield Look(STARTED, [*show, *names], read_starts)
    yield _shell(
        DISKS, f"df -B1 --output=target,size,avail,itotal,iavail {' '.join(DIRECTORIES)} 2>/dev/null; true", read_disks
    )


def _of_compute() -> Iterator[Look]:
    yield _shell(LIBVIRT, _limited(4, "virsh -r -c qemu:///system list --all --uuid --name"), read_domains)
    yield _shell(DOMAIN_STATES, _limited(4, "virsh -r -c qemu:///system domstats --state"), read_domain_states)
    yield _shell(TUN, "test -c /dev/net/tun && echo there || echo missing", str.strip)
    yield _shell(CONNTRACK, "cd /proc/sys/net/netfilter; cat nf_conntrack_count nf_conntrack_max", read_two)
    names = "grep -sHE '^host *=' /etc/nova/*.conf /etc/neutron/*.conf /etc/neutron/*.ini; true"
    yield _shell(NAMES, f"hostname; {names}", read_names)


def _of_l2isolate() -> Iterator[Look]:
    for name in ("ingress_of", "egress_of"):
        # A host without servers has no such map.
        show = f"nft -j list map inet arbaro_l2isolate {name} 2>/dev/null || echo '{{\"nftables\": []}}'"
        yield _shell(f"{SERVED_TAPS}: {name}", show, read_elements)
    yield _shell(DHCP_ENTRIES, f"ls {DHCP}/hosts 2>/dev/null; true", str.split)
    yield _shell(DHCP_MOUNT, f"findmnt -no OPTIONS -T {DHCP} 2>/dev/null; true", str.strip)
    unit = "/etc/systemd/system/$unit.service"
    tree = f'sed -n "s|.*--rootfs \\([^ ]*\\).*|\\1|p" {unit}'
    lines = f'tree=$({tree}); [ -z "$tree" ] || [ -d "$tree/usr" ] || echo "$unit $tree"'
    yield _shell(AGENT_TREES, f"for unit in neutron-l2isolate-agent l2isolate-dhcp; do {lines}; done; true", read_pairs)
    log = "journalctl -u neutron-l2isolate-agent --since=-3min -o cat -n 300 --no-pager; true"
    yield _shell(AGENT_LOG, log, read_agent_log)


def _of_fabric() -> Iterator[Look]:
    keys = ("net.ipv4.ip_forward", "net.ipv4.conf.all.rp_filter", "net.ipv4.fib_multipath_hash_policy")
    yield Look(SYSCTLS, ["sysctl", *keys], read_sysctls)
    yield Look(ROUTES, ["ip", "-j", "-4", "route", "show", "table", "main"], read_routes)
    yield Look(ADDRESSES, ["ip", "-j", "-4", "address", "show"], read_addresses)
    # A host without the tool has no rules of that kind that anybody could have made on it.
    nft = "command -v nft >/dev/null || { echo '{\"nftables\": []}'; exit; }; nft -j -t -a list ruleset"
    yield _shell(RULES, nft, read_rules)
    yield Look(POLICY_ROUTING, ["ip", "-j", "rule", "show"], read_policy_routing)
    config = "vtysh -c 'show running-config'; echo ==; cat /etc/frr/frr.conf"
    yield _shell(REFUSALS, config, read_refusals)
    yield Look(BGP_ROUTES, ["vtysh", "-c", "show bgp ipv4 unicast json"], read_bgp)
    yield Look(BFD, ["vtysh", "-c", "show bfd peers counters json", "-c", "show bfd peers json"], read_bfd)


def _of_controller(wanted: Wishes) -> Iterator[Look]:
    ask = " ".join(_ASK_QUEUE.split())
    yield _shell(QUEUE, _limited(12, f"rabbitmqctl -q eval '{ask}'"), read_queue, 20)
    status = "SHOW GLOBAL STATUS LIKE 'Threads_connected'; SHOW GLOBAL STATUS LIKE 'Connection_errors_max_connections'"
    sql = f"{status}; SHOW GLOBAL VARIABLES LIKE 'max_connections'"
    yield _shell(DATABASE, _limited(5, f'mysql -N -B -e "{sql}"'), read_database)
    yield _shell(KEYS, "stat -c '%U %a %F' /etc/keystone/fernet-keys /etc/keystone/fernet-keys/* 2>&1; true", read_keys)
    yield _shell(IMAGE_FILES, "stat -c '%s %n' /var/lib/glance/images/* 2>/dev/null; true", read_image_files)
    if wanted.policies:
        yield _shell(
            POLICIES,
            "; ".join(f"echo '== {p}'; cat {p} 2>/dev/null" for p in wanted.policies) + "; true",
            read_policies,
        )
    if wanted.guest:
        yield Look(WAY_TO_GUESTS, ["ip", "-j", "route", "get", wanted.guest], lambda text: json.loads(text)[0])


def _shell(what: str, line: str, read: Any, seconds: float = 10.0) -> Look:
    return Look(what, ["sh", "-c", line], read, seconds)


def _limited(seconds: int, line: str) -> str:
    """A command whose silence is evidence: its code is the last line, 124 when its time was up."""
    return f"timeout -k 1 {seconds} {line} 2>&1; echo code=$?"


def _python(what: str, script: str, words: Sequence[str], seconds: float) -> Look:
    source = Path(__file__).with_name(script).read_text()
    return Look(what, ["python3", "-I", "-c", source, *words], json.loads, seconds)

# SPDX-License-Identifier: Apache-2.0
"""What the doctor looks at on a host, in addition to what `status` looks at: read-only commands, and how each is read.

A command that may hang with what it asks (libvirt, the queue, the database) has its own limit inside, and hanging is
then a value, not a hole: that somebody does not answer is evidence.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arbaro.hosts import COMPUTE, CONTROLLER, TOR, Host
from arbaro.looks import Look

#: Facts, by the names under which checks ask for them.
STOPPED, STARTED, DISKS, NAMES = "stopped processes", "start times", "disks", "names in configuration"
AGENT_LOG, CONNTRACK = "the agent's log", "tracked connections"
SYSCTLS, ROUTES, ADDRESSES, NEIGHBOURS, RULES = "sysctls", "routes", "addresses", "neighbours", "packet filter"
LIBVIRT, DOMAIN_STATES, TUN = "libvirt", "domain states", "tun"
BGP_ROUTES, BFD, REFUSALS, POLICY_ROUTING = "BGP routes", "BFD", "FRR's refusals", "policy routing"
FROZEN_GUESTS, SERVED_TAPS, DOORS = "frozen guests", "taps in the filter", "doors of the controller"
DHCP_ENTRIES, DHCP_MOUNT = "DHCP entries", "DHCP's file system"
QUEUE, DATABASE, KEYS, LOGINS, POLICIES = "queue", "database", "keystone's keys", "logins", "policies"
IMAGE_FILES, WAY_TO_GUESTS, URLS = "image files", "the way to servers", "endpoints"

#: What must have been looked at on a host of each group, and of any, before anybody calls it well.
OF = {
    "": ("state", "SSH", "units", STOPPED, DISKS),
    COMPUTE: (LIBVIRT, DOMAIN_STATES, TUN, NAMES, LOGINS),
    CONTROLLER: (QUEUE, DATABASE, KEYS, LOGINS, POLICIES, IMAGE_FILES),
}

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
    if host.is_a(COMPUTE) or host.is_a(TOR):
        yield from _of_fabric()
    if host.is_a(CONTROLLER):
        yield from _of_controller(wanted)
    if host.is_a(CONTROLLER) or host.is_a(COMPUTE):
        yield _python(LOGINS, "logins_there.py", CONFIGURATION, 12)
        if wanted.urls:
            yield _python(URLS, "urls_there.py", wanted.urls, 12)


@dataclass(frozen=True)
class Wishes:
    """What is known before the hosts are looked at: addresses to ask, one that stands for all servers, policy files."""

    urls: Sequence[str] = ()
    guest: str = ""
    policies: Sequence[str] = ()


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
    taps = ("ingress_of", "egress_of")
    for name in taps:
        yield Look(
            f"{SERVED_TAPS}: {name}", ["nft", "-j", "list", "map", "inet", "arbaro_l2isolate", name], read_elements
        )
    yield _shell(TUN, "test -c /dev/net/tun && echo there || echo missing", str.strip)
    yield _shell(DHCP_ENTRIES, f"ls {DHCP}/hosts 2>/dev/null; true", str.split)
    yield _shell(DHCP_MOUNT, f"findmnt -no OPTIONS -T {DHCP} 2>/dev/null; true", str.strip)
    log = "journalctl -u neutron-l2isolate-agent --since=-3min -o cat -n 300 --no-pager; true"
    yield _shell(AGENT_LOG, log, read_agent_log)
    yield _shell(
        CONNTRACK, "cat /proc/sys/net/netfilter/nf_conntrack_count /proc/sys/net/netfilter/nf_conntrack_max", read_two
    )
    yield Look(NEIGHBOURS, ["ip", "-j", "neigh", "show", "nud", "permanent"], read_neighbours)
    names = "grep -sHE '^host *=' /etc/nova/*.conf /etc/neutron/*.conf /etc/neutron/*.ini; true"
    yield _shell(NAMES, f"hostname; {names}", read_names)


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


def read_stopped(text: str) -> dict[str, dict[str, Any]]:
    """Unit → a process of it that is stopped (T) or traced (t); systemd calls such a unit active."""
    found: dict[str, dict[str, Any]] = {}
    for line in text.splitlines():
        state, pid, rest = line.split(None, 2)
        command, _, unit = rest.rpartition(" ")
        if state[0] in "Tt" and unit.endswith((".service", ".scope")):
            one = {"pid": int(pid), "command": command.strip(), "state": state[0]}
            found.setdefault(unit.removesuffix(".service"), one)
    return found


def read_starts(text: str) -> dict[str, dict[str, Any]]:
    """Unit → since when it is active (seconds since 1970; 0: it is not), how it ended, how often it was restarted."""
    found = {}
    for block in text.strip().split("\n\n"):
        facts = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        since = facts.get("ActiveEnterTimestamp", "").lstrip("@")
        found[facts["Id"].removesuffix(".service")] = {
            "since": int(since) if since.isdigit() else 0,
            "result": facts.get("Result", ""),
            "restarts": int(facts.get("NRestarts") or 0),
        }
    return found


def read_disks(text: str) -> dict[str, dict[str, int]]:
    """Mount point → its size and what is free, in bytes and in files (0 where the file system does not count them)."""
    names = ("size", "free", "files", "files free")
    found = {}
    for line in text.splitlines()[1:]:
        target, *words = line.split()
        found[target] = {name: int(word) if word.isdigit() else 0 for name, word in zip(names, words, strict=True)}
    return found


def read_domains(text: str) -> dict[str, Any]:
    """Whether libvirt answers, and its domains: UUID → name."""
    lines, code = _lines_and_code(text)
    pairs = [line.split() for line in lines if re.match(r"[0-9a-f]{8}-", line)]
    return {
        "code": code,
        "said": "" if code == 0 else " ".join(lines)[:200],
        "domains": {one[0]: one[1] for one in pairs},
    }


def read_domain_states(text: str) -> dict[str, list[int]]:
    """Name of a domain → its state and the reason of that, as libvirt counts them (virDomainState)."""
    found: dict[str, list[int]] = {}
    name = ""
    for line in text.splitlines():
        if match := re.match(r"Domain: '(.*)'", line.strip()):
            name = match[1]
        elif match := re.match(r"state\.(state|reason)=(\d+)", line.strip()):
            found.setdefault(name, []).append(int(match[2]))
    return found


def read_names(text: str) -> dict[str, Any]:
    """The host's own name, and each file that has its service report under another one."""
    own, *lines = text.splitlines() or [""]
    said = {}
    for line in lines:
        path, _, setting = line.partition(":")
        said[path] = setting.partition("=")[2].strip()
    return {"own": own, "said": said}


def read_sysctls(text: str) -> dict[str, str]:
    """Name → value."""
    return {name.strip(): value.strip() for name, _, value in (line.partition("=") for line in text.splitlines())}


def read_routes(text: str) -> list[dict[str, Any]]:
    """Routes of the main table: destination, device or next hops, protocol and metric."""
    return [
        {
            "to": one["dst"],
            "dev": one.get("dev", ""),
            "via": [one["gateway"]]
            if "gateway" in one
            else [hop.get("gateway", hop.get("via", {}).get("host", "")) for hop in one.get("nexthops", [])],
            "protocol": str(one.get("protocol", "")),
            "metric": one.get("metric", 0),
        }
        for one in json.loads(text or "[]")
    ]


def read_policy_routing(text: str) -> list[str]:
    """Rules of policy routing beyond the kernel's own three, in words."""
    known = {"local", "main", "default"}
    return [
        " ".join(f"{key} {value}" for key, value in one.items() if key not in ("priority", "protocol"))
        for one in json.loads(text or "[]")
        if one.get("table") not in known or one.get("src") != "all" or "iif" in one or "oif" in one or "fwmark" in one
    ]


def read_refusals(text: str) -> list[str]:
    """Lines by which FRR refuses routes now, and which its file does not have."""
    now, _, file = text.partition("\n==\n")
    known = {_without_number(line) for line in file.splitlines()}
    lines = [line.strip() for line in now.splitlines()]
    return [line for line in lines if re.search(r"\bdeny\b", line) and _without_number(line) not in known]


def _without_number(line: str) -> str:
    return re.sub(r" seq \d+", "", line.strip())


def read_elements(text: str) -> list[str]:
    """The keys of a map of nftables."""
    (found,) = (one["map"] for one in json.loads(text)["nftables"] if "map" in one)
    return [element[0] for element in found.get("elem", [])]


def read_addresses(text: str) -> dict[str, dict[str, Any]]:
    """Interface → whether it is up, its MTU, its IPv4 addresses."""
    return {
        one["ifname"]: {
            "up": "UP" in one.get("flags", []),
            "mtu": one.get("mtu", 0),
            "addresses": [address["local"] for address in one.get("addr_info", []) if address.get("family") == "inet"],
        }
        for one in json.loads(text or "[]")
        if one
    }


def read_agent_log(text: str) -> dict[str, Any]:
    """The agent's last error: what it said, and when by its own clock (UTC, as the log has it); how many there were."""
    wrong = [line for line in text.splitlines() if re.match(r"[-0-9]{10} [:0-9]{8}\S* \d+ ERROR ", line)]
    if not wrong:
        return {"errors": 0, "said": "", "when": ""}
    told = [line for line in wrong if not re.search(r"ERROR \S+ (\[[^]]*\] )?(Traceback|  File|    |$)", line)]
    said = re.sub(r"^\S+ \S+ \d+ ERROR \S+ (\[[^]]*\] )?", "", (told or wrong)[-1]).strip()[:200]
    return {"errors": len(wrong), "said": said, "when": wrong[-1][:19].replace(" ", "T")}


def read_two(text: str) -> list[int]:
    """Two numbers, a line each."""
    return [int(word) for word in text.split()]


def read_neighbours(text: str) -> list[list[str]]:
    """Permanent neighbours: (interface, address, MAC)."""
    return [[one["dev"], one["dst"], one.get("lladdr", "")] for one in json.loads(text or "[]")]


def read_rules(text: str) -> dict[str, Any]:
    """Tables as `family name` → chains: hook and policy of base chains, and each rule as (handle, expression)."""
    tables: dict[str, Any] = {}
    for item in json.loads(text)["nftables"]:
        if chain := item.get("chain"):
            kept = {
                "hook": chain.get("hook", ""),
                "policy": chain.get("policy", "accept"),
                "type": chain.get("type", ""),
            }
            tables.setdefault(f"{chain['family']} {chain['table']}", {})[chain["name"]] = {**kept, "rules": []}
        elif rule := item.get("rule"):
            chains = tables.setdefault(f"{rule['family']} {rule['table']}", {})
            chains[rule["chain"]]["rules"].append([rule["handle"], _words(rule["expr"])])
        elif table := item.get("table"):
            tables.setdefault(f"{table['family']} {table['name']}", {})
    return tables


def _words(expression: Any) -> str:
    """A rule's expression in one line, without counters, which change."""
    kept = [one for one in expression if "counter" not in one]
    return json.dumps(kept, sort_keys=True)


def read_bgp(text: str) -> dict[str, Any]:
    """The host's own AS, and prefix → from whom its best path was learned."""
    found = json.loads(text)
    best = {
        prefix: next((path.get("peerId", "") for path in paths if path.get("bestpath")), "")
        for prefix, paths in found.get("routes", {}).items()
    }
    return {"as": found.get("localAS"), "routes": best}


def read_bfd(text: str) -> dict[str, dict[str, Any]]:
    """Interface → how often its BFD session went down, and for how many seconds it is up."""
    counters, peers = _two_lists(text)
    up = {one.get("interface", ""): one for one in peers}
    return {
        one.get("interface", ""): {
            "downs": one.get("session-down", 0),
            "uptime": up.get(one.get("interface", ""), {}).get("uptime", 0),
            "status": up.get(one.get("interface", ""), {}).get("status", ""),
        }
        for one in counters
    }


def _two_lists(text: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    decoder = json.JSONDecoder()
    first, end = decoder.raw_decode(text.lstrip())
    second, _ = decoder.raw_decode(text.lstrip()[end:].lstrip())
    return first, second


def read_queue(text: str) -> dict[str, Any]:
    """RabbitMQ: alarms, queues with what waits in them and how many read, and how many connections each user has."""
    lines, code = _lines_and_code(text)
    answers = [line for line in lines if line.startswith("{")]
    if code != 0 or not answers:
        return {"code": code or 1, "said": " ".join(lines)[-300:], "alarms": [], "queues": [], "users": {}}
    found = json.loads(answers[0])
    users = {name: found["users"].count(name) for name in found["users"]}
    return {"code": 0, "said": "", "alarms": sorted(set(found["alarms"])), "queues": found["queues"], "users": users}


def read_database(text: str) -> dict[str, Any]:
    """MariaDB: connections that are open, and how many may be."""
    lines, code = _lines_and_code(text)
    values = dict(line.split(None, 1) for line in lines if len(line.split()) == 2)
    if code != 0:
        return {"code": code, "said": " ".join(lines)[-300:]}
    return {
        "code": 0,
        "open": int(values["Threads_connected"]),
        "most": int(values["max_connections"]),
        "refused": int(values.get("Connection_errors_max_connections", 0)),
    }


def read_keys(text: str) -> list[dict[str, str]]:
    """The directory of keystone's keys and what is in it: owner, mode, kind."""
    rows = [line.split(None, 2) for line in text.splitlines() if not line.startswith("stat:")]
    return [{"owner": owner, "mode": mode, "kind": kind} for owner, mode, kind in rows]


def read_image_files(text: str) -> dict[str, int]:
    """Image id → bytes of its file."""
    rows = [line.split(None, 1) for line in text.splitlines()]
    return {name.rpartition("/")[2]: int(size) for size, name in rows}


def read_policies(text: str) -> dict[str, dict[str, str]]:
    """File → rule → expression; a file that is no YAML of that form has one rule, `(unreadable)`."""
    import yaml

    found = {}
    for part in text.split("== ")[1:]:
        path, _, content = part.partition("\n")
        try:
            rules = yaml.safe_load(content) or {}
            found[path] = {str(name): str(rule) for name, rule in rules.items()}
        except (yaml.YAMLError, AttributeError):
            found[path] = {"(unreadable)": ""}
    return found


def _lines_and_code(text: str) -> tuple[list[str], int]:
    lines = text.splitlines()
    code = lines.pop().removeprefix("code=") if lines and lines[-1].startswith("code=") else "1"
    return lines, int(code)

# SPDX-License-Identifier: Apache-2.0
"""How the output of each command that the doctor runs on hosts becomes a fact. Pure."""

import json
import re
from typing import Any


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
    if not found:
        raise ValueError("no file system")
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
    maps = [one["map"] for one in json.loads(text)["nftables"] if "map" in one]
    return [element[0] for one in maps for element in one.get("elem", [])]


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


def read_pairs(text: str) -> dict[str, str]:
    """Lines of two words: the first → the second."""
    return dict(line.split(None, 1) for line in text.splitlines() if len(line.split()) == 2)


def read_two(text: str) -> list[int]:
    """Two numbers, a line each."""
    return [int(word) for word in text.split()]


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

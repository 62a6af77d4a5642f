# SPDX-License-Identifier: Apache-2.0
"""What may drop a packet on its way: other packet filters at the kernel's hooks, and rules that the agent did not make.

In nftables one drop wins over all accepts: every base chain of a hook is asked.
"""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from shlex import quote
from typing import Any

from arbaro.checks import ERROR, Check, Finding, Need, Spot
from arbaro.doctor import hostlooks
from arbaro.doctor.links.ground import needs_the_host, working
from arbaro.doctor.ports import named, ports_on, seen, server_ports
from arbaro.doctor.questions import GROUPS
from arbaro.doctor.site import SITE, each_fabric_host, hosts_in, there
from arbaro.evidence import Evidence
from arbaro.hosts import COMPUTE, TOR

OURS = ("inet arbaro_l2isolate", "arp arbaro_l2isolate", "inet l2isolate_host")
TABLE = OURS[0]
#: The families that nftables knows.
FAMILIES = frozenset({"ip", "ip6", "inet", "arp", "bridge", "netdev"})
#: Hooks that a packet to or from a server passes.
ON_THE_WAY = ("ingress", "prerouting", "forward", "postrouting", "egress")
#: Chains that are the same on every host that has the same agent.
ALIKE = ("guard", "from_tap", "metadata_redirect", "forward", "to_stateless", "egress", "to_guest", "ingress", "input")
#: Chains that a table has as soon as a server is served.
OPENED = frozenset(ALIKE) - {"metadata_redirect"}
#: What a priority or NAT chain of other programs may do without harm has no drop in it.
DROPS = re.compile(r'"(drop|reject)"')
JUMPS = re.compile(r'"(?:jump|goto)": \{"target": "([^"]+)"')


def each_table(evidence: Evidence) -> list[Spot]:
    """All tables of computes and switches that are not ours."""
    hosts = [host for group in (COMPUTE, TOR) for host in hosts_in(evidence, group)]
    return [Spot(host, table) for host in hosts for table in seen(evidence, hostlooks.RULES, host) if table not in OURS]


def other_firewall(evidence: Evidence, spot: Spot) -> Finding | None:
    """A packet filter that is not the cloud's drops packets on the way to servers."""
    chains = evidence.value(spot.host, hostlooks.RULES)[spot.thing]
    ports = [str(port) for port in evidence.should(SITE, "doors", ())]
    bad = [
        (name, chain)
        for name, chain in chains.items()
        if (chain["hook"] in ON_THE_WAY and _drops(chain, chains))
        or (chain["hook"] and _closes(chain, ports))
        or (chain["hook"] == "input" and _shuts_out_dhcp(chain, chains))
    ]
    if not bad or spot.thing.partition(" ")[0] not in FAMILIES:
        return None
    (name, chain), (family, _, table) = bad[0], spot.thing.partition(" ")
    saw = f"the table {spot.thing} drops packets at the hook {chain['hook']} (chain {name})"
    means = "it is not the cloud's: a drop there wins over all that the cloud's own filter lets through"
    return Finding(spot.host, saw, means, there(evidence, spot.host, f"nft delete table {family} {quote(table)}"))


def _drops(chain: Mapping[str, Any], chains: Mapping[str, Any], seen_before: frozenset[str] = frozenset()) -> bool:
    if chain["policy"] == "drop":
        return True
    for _, words in chain["rules"]:
        if DROPS.search(words):
            return True
        for target in JUMPS.findall(words):
            if (
                target in chains
                and target not in seen_before
                and _drops(chains[target], chains, seen_before | {target})
            ):
                return True
    return False


def _closes(chain: Mapping[str, Any], ports: list[str]) -> bool:
    """Say whether a rule drops what goes to one of the cloud's own ports. A host may well have a filter of its own."""
    return any(
        DROPS.search(words) and any(re.search(rf'"field": "dport".*"right": {port}\b', words) for port in ports)
        for _, words in chain["rules"]
    )


def _shuts_out_dhcp(chain: Mapping[str, Any], chains: Mapping[str, Any]) -> bool:
    """Say whether a host that lets in only what it names does not name DHCP: servers ask the host itself for it."""
    every = [words for one in chains.values() for _, words in one["rules"]]
    named_it = any(re.search(r'"field": "dport".*\b67\b', words) or "tap*" in words for words in every)
    return chain["policy"] == "drop" and not named_it


def each_filter(evidence: Evidence) -> list[Spot]:
    """Each chain of the agent's table, on all computes."""
    hosts = hosts_in(evidence, COMPUTE)
    return [Spot(host, chain) for host in hosts for chain in seen(evidence, hostlooks.RULES, host).get(TABLE, {})]


def foreign_rule(evidence: Evidence, spot: Spot) -> Finding | None:
    """A chain of the agent's table has a rule that the agent did not write."""
    rules = evidence.value(spot.host, hostlooks.RULES)[TABLE][spot.thing]["rules"]
    strange = _out_of_order(rules) or _here_only(evidence, spot, rules) or _more_than_asked(evidence, spot, rules)
    if strange is None:
        return None
    handle, words = strange
    return Finding(
        spot.host,
        f"the chain {spot.thing} of the agent's table has a rule that the agent did not write: {_short(words)}",
        "it stays until somebody takes it away: the agent does not look at rules of others",
        there(evidence, spot.host, f"nft delete rule {TABLE} {quote(spot.thing)} handle {int(handle)}"),
    )


def _out_of_order(rules: list[list[Any]]) -> tuple[int, str] | None:
    """The kernel counts handles up: a rule with a higher one than its successor was put in before it later."""
    for (handle, words), (after, _) in pairwise(rules):
        if handle > after:
            return handle, words
    return None


def _here_only(evidence: Evidence, spot: Spot, rules: list[list[Any]]) -> tuple[int, str] | None:
    """A rule in a chain that is the same everywhere, which no other host has, and which came later than its neighbours.

    The agent writes a chain at one go, so its rules' handles follow one another. A rule that is only here, but among
    its own, is one that the others have lost.
    """
    others = _others(evidence, spot)
    strange = [(handle, words) for handle, words in rules if not any(words in other for other in others)]
    return next((one for one in strange if others and not _among_its_own(one[0], rules)), None)


def _among_its_own(handle: int, rules: list[list[Any]]) -> bool:
    handles = {one for one, _ in rules}
    return len(handles) == 1 or bool({handle - 1, handle + 1} & handles)


def _others(evidence: Evidence, spot: Spot) -> list[set[str]]:
    """What other computes have in the same chain, where it is to be the same everywhere."""
    if spot.thing not in ALIKE or not is_open(evidence.value(spot.host, hostlooks.RULES)[TABLE]):
        return []
    tables = [seen(evidence, hostlooks.RULES, host) for host in hosts_in(evidence, COMPUTE) if host != spot.host]
    filled = [one[TABLE] for one in tables if is_open(one.get(TABLE, {}))]
    return [{words for _, words in chains.get(spot.thing, {"rules": []})["rules"]} for chains in filled]


def rule_missing(evidence: Evidence, spot: Spot) -> Finding | None:
    """A chain of the agent's table lacks rules that it has on all other computes."""
    others = _others(evidence, spot)
    mine = {words for _, words in evidence.value(spot.host, hostlooks.RULES)[TABLE][spot.thing]["rules"]}
    lacking = frozenset[str]().union(*others[:1]).intersection(*others) - mine
    if not lacking or mine - mine.intersection(frozenset[str]().union(*others)):
        # Where each has rules of its own, they are of two versions of the agent.
        return None
    saw = f"the chain {spot.thing} of the agent's table lacks a rule that others have: {_short(min(lacking))}"
    mend = there(evidence, spot.host, "systemctl restart neutron-l2isolate-agent")
    return Finding(spot.host, saw, "packets are let through, or dropped, that are not elsewhere", mend)


def is_open(chains: Mapping[str, Any]) -> bool:
    """Say whether the agent has filled its table: on a host without servers it is closed, and has hardly a chain."""
    return chains.keys() >= OPENED


def _more_than_asked(evidence: Evidence, spot: Spot, rules: list[list[Any]]) -> tuple[int, str] | None:
    """A group's chain with more rules than neutron has for the group: the last one came last."""
    match = re.fullmatch(r"(ingress|egress)_group_(.+)", spot.thing)
    group = seen(evidence, GROUPS).get(match[2].replace("_", "-")) if match else None
    if match is None or group is None or not rules:
        return None
    mine = [rule for rule in group["rules"] if rule["direction"] == match[1] and rule["ethertype"] == "IPv4"]
    asked = sum(2 if rule["remote_group_id"] else 1 for rule in mine)
    return (rules[-1][0], rules[-1][1]) if len(rules) > asked else None


def _short(words: str) -> str:
    """A rule's expression, short enough for a line."""
    plain = []
    for part in json.loads(words):
        if match := part.get("match"):
            left = match["left"].get("payload", {}).get("field") or match["left"].get("meta", {}).get("key") or "…"
            plain.append(f"{left} {match['op']} {match['right']}")
        else:
            plain.append(next(iter(part)))
    return " ".join(plain)[:80]


def filter_missing(evidence: Evidence, spot: Spot) -> Finding | None:
    """The agent's packet filter is not there, or closed although the host has servers."""
    tables = evidence.value(spot.host, hostlooks.RULES)
    served = list(ports_on(evidence, spot.host))
    if TABLE in tables and (not served or is_open(tables[TABLE])):
        return None
    saw = "the agent's packet filter is " + ("closed, as before the agent's start" if TABLE in tables else "not there")
    mend = there(evidence, spot.host, "systemctl restart neutron-l2isolate-agent")
    return Finding(spot.host, saw, "no packet gets to a server here, or every one", mend)


def needs_agent(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """The agent makes its table at its start."""
    yield from needs_the_host(evidence, spot)
    yield from working(spot.host, "neutron-l2isolate-agent")


def filter_incomplete(evidence: Evidence, spot: Spot) -> Finding | None:
    """The agent's filter does not know a server's tap: every packet of it is dropped."""
    port = server_ports(evidence)[spot.thing]
    taps = {name: evidence.value(spot.host, f"{hostlooks.SERVED_TAPS}: {name}") for name in ("ingress_of", "egress_of")}
    lacking = [name for name, known in taps.items() if port.tap not in known]
    if not lacking:
        return None
    saw = f"the agent's filter does not know {port.tap} of {named(evidence, port.server)} (map {lacking[0]})"
    mend = there(evidence, spot.host, "systemctl restart neutron-l2isolate-agent")
    return Finding(spot.host, saw, "its packets are dropped", mend)


def needs_agent_and_no_strangers(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """A rule that another host has too much is no rule that this one lacks."""
    yield from needs_agent(evidence, Spot(spot.host))
    yield from ((FOREIGN_RULE.id, Spot(host, spot.thing)) for host in hosts_in(evidence, COMPUTE))


def each_filtered(evidence: Evidence) -> list[Spot]:
    """The ports of all servers that are meant to run, where the filter is this agent's."""
    found = server_ports(evidence) if evidence.should(SITE, "network") == "l2isolate" else {}
    return [Spot(port.host, number) for number, port in found.items()]


def needs_filter(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """An element is of a table that there is, for a tap that the agent serves."""
    yield from needs_agent(evidence, spot)
    yield FILTER_MISSING.id, Spot(spot.host)
    yield "tap-unready", spot
    port = server_ports(evidence)[spot.thing]
    yield "guest-gone", Spot(port.host, port.server)


def routing_rule(evidence: Evidence, spot: Spot) -> Finding | None:
    """A rule of policy routing, which nobody of the cloud has made, takes packets off their way."""
    rules = evidence.value(spot.host, hostlooks.POLICY_ROUTING)
    if not rules:
        return None
    more = f", and {len(rules) - 1} more" if rules[1:] else ""
    saw = f"a rule of policy routing is not the cloud's: {rules[0]}{more}"
    mend = there(evidence, spot.host, "; ".join(f"ip rule del {_as_typed(rule)}" for rule in rules))
    return Finding(spot.host, saw, "packets that it matches are lost, or go another way", mend)


def _as_typed(rule: str) -> str:
    """A rule as `ip rule` takes it."""
    kept = re.sub(r"\bsrc all\b ?", "", rule)
    kept = re.sub(r"\bsrc\b", "from", re.sub(r"\bdst\b", "to", kept))
    return " ".join(map(quote, re.sub(r"\baction (\S+)", r"\1", kept).split()))


OTHER_FIREWALL = Check("other-firewall", ERROR, each_table, other_firewall, needs_the_host)
FOREIGN_RULE = Check("foreign-rule", ERROR, each_filter, foreign_rule, needs_the_host)
FILTER_INCOMPLETE = Check("filter-incomplete", ERROR, each_filtered, filter_incomplete, needs_filter)
ROUTING_RULE = Check("routing-rule", ERROR, each_fabric_host(COMPUTE, TOR), routing_rule, needs_the_host)
FILTER_MISSING = Check("filter-missing", ERROR, each_fabric_host(COMPUTE), filter_missing, needs_agent)
RULE_MISSING = Check("filter-rule-missing", ERROR, each_filter, rule_missing, needs_agent_and_no_strangers)

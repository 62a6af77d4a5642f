# SPDX-License-Identifier: Apache-2.0
"""A server's port as neutron has it: where it is bound, whether it is ready, and whom its security groups let in."""

from collections.abc import Iterator, Mapping
from typing import Any

from arbaro.checks import ERROR, NOTE, Check, Finding, Need, Spot
from arbaro.doctor.links.ground import needs_the_host, working
from arbaro.doctor.ports import named, seen, server_ports
from arbaro.doctor.questions import GROUPS, OPENSTACK, PORTS
from arbaro.doctor.site import client, controller, there
from arbaro.evidence import Evidence


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
    mend = client(evidence, "server reboot --hard", port.server)
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
    mend = client(evidence, "security group rule create --protocol icmp", *(port.its["groups"][:1] or ["GROUP"]))
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
        client(evidence, "server add security group SERVER", remote),
    )


PORT_ELSEWHERE = Check("port-elsewhere", ERROR, each_bound, port_elsewhere, needs_agent)
PORT_DOWN = Check("port-down", ERROR, each_bound, port_down, needs_agent)
CLOSED_BY_RULES = Check("no-ingress-rule", NOTE, each_bound, closed_by_rules)
GROUP_EMPTY = Check("group-empty", NOTE, each_remote_group, group_empty)

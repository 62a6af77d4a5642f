# SPDX-License-Identifier: Apache-2.0
"""A cloud's networks of podman, and this machine's packet rules and routes for them."""

import json
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from arbaro import shell
from arbaro.cluster.providers.labels import LABEL, labels_of
from arbaro.cluster.spec import CloudSpec, address_of
from arbaro.errors import ArbaroError
from arbaro.steps import Plan, Step

#: Where bridged frames pass the machine's own rules (net.bridge.bridge-nf-call-iptables), netavark masquerades all that
#: leaves the provider network, and with it a guest's request to a DHCP agent on another compute: the metadata service
#: could no longer tell who asks. And what this machine forwards for the cloud, nobody outside may open.
RULES = """\
table ip {table} {{
    chain prerouting {{
        type filter hook prerouting priority raw
        ip saddr {p} ip daddr 169.254.169.254 notrack
        ip saddr 169.254.169.254 ip daddr {p} notrack
    }}
    chain forward {{
        type filter hook forward priority filter
        ip saddr != {{ {u}, {p} }} ip daddr {{ {u}, {p} }} ct state new drop
    }}
    chain postrouting {{
        type nat hook postrouting priority srcnat
        ip saddr {p} ip daddr != {{ {u}, {p} }} masquerade
    }}
}}
"""


def ground(spec: CloudSpec) -> Plan:
    """The steps that make the networks and write the packet rules, which are gone after this machine's restart."""
    return [
        Step(
            "Make the networks",
            lambda: not all(_exists(name) for name in names(spec)),
            lambda _: _create(spec),
        ),
        Step(
            "Write this machine's packet rules for them",
            lambda: not _has_rules(spec.name),
            lambda _: _write_rules(spec),
        ),
    ]


def delete(name: str) -> None:
    """Take rules and networks away, the one that carries the spec last: a killed `down` finds by it what is left."""
    if _has_rules(name):
        shell.run(["nft", "delete", "table", "ip", network(name)])
    for one in (f"{network(name)}-provider", network(name)):
        if _exists(one):
            shell.run(["podman", "network", "rm", one])


def names(spec: CloudSpec) -> dict[str, IPv4Network]:
    """The cloud's networks, the one that carries the spec last, so that it is there only when all are."""
    shared = {} if spec.tors else {f"{network(spec.name)}-provider": spec.provider}
    return shared | {network(spec.name): spec.underlay}


def network(name: str) -> str:
    """The network that joins a cloud's hosts and this machine, and the table of its packet rules."""
    return f"arbaro-{name}"


def _create(spec: CloudSpec) -> None:
    for name, subnet in names(spec).items():
        if not _exists(name):
            labels = labels_of(spec) if subnet == spec.underlay else {LABEL: spec.name}
            flags = [word for key, value in labels.items() for word in ("--label", f"{key}={value}")]
            try:
                shell.run(["podman", "network", "create", "--disable-dns", "--subnet", str(subnet), *flags, name])
            except ArbaroError as error:
                error.hint = "Choose another range: set `underlay` in settings.toml (docs/reference/settings.md)."
                raise


def _exists(network: str) -> bool:
    return shell.succeeds(["podman", "network", "exists", network])


def _has_rules(name: str) -> bool:
    return shell.succeeds(["nft", "list", "table", "ip", network(name)])


def _write_rules(spec: CloudSpec) -> None:
    rules = RULES.format(table=network(spec.name), u=spec.underlay, p=spec.provider)
    shell.run(["nft", "-f", "-"], stdin=rules)


def wanted_routes(spec: CloudSpec) -> dict[IPv4Network, IPv4Address]:
    """Plan this machine's routes into the cloud: network → the address behind which it is."""
    fabric = {spec.provider: spec.guest_router} if spec.tors else {}
    return fabric | ({spec.rack_network: address_of(spec.rack)} if spec.machines else {})


def are_routed(spec: CloudSpec) -> bool:
    """Say whether all of them are there."""
    there = json.loads(shell.run(["ip", "-4", "-json", "route", "show"]))
    return all(leads_to(there, network, via) for network, via in wanted_routes(spec).items())


def route(spec: CloudSpec) -> None:
    """Make them."""
    for network, via in wanted_routes(spec).items():
        shell.run(["ip", "route", "replace", str(network), "via", str(via)])


def leads_to(routes: Iterable[Mapping[str, Any]], network: IPv4Network, via: IPv4Address) -> bool:
    """Say whether exactly this network is routed to exactly this address. `routes` are as `ip -json` prints them."""
    return any(route["dst"] == str(network) and route.get("gateway") == str(via) for route in routes)

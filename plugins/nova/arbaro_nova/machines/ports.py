# SPDX-License-Identifier: Apache-2.0
"""Neutron's ports and a machine's interfaces: a port takes the interface's address, since it does not go the other way.

A port is not bound to a host: no agent plugs a physical machine in. It stands in its network for what neutron's DHCP
and the config drive say to the machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neutronclient.common import exceptions as neutron_errors
from nova.network import neutron
from oslo_log import log as logging

from arbaro_nova.machines.errors import MachineFailed, told
from arbaro_nova.machines.machine import Machine

LOG = logging.getLogger(__name__)


def plug(context, machine: Machine, vifs: list) -> None:
    """Give each port the address of one interface; the first port that of the one which the machine boots from."""
    if len(vifs) > len(machine.macs):
        cause = f"{machine.name} has {len(machine.macs)} interfaces, {len(vifs)} are asked for"
        raise MachineFailed(told(cause, "Ask for fewer networks."), elsewhere=False)
    client = neutron.get_client(context, admin=True)
    for vif, mac in zip(vifs, machine.macs):
        if vif["address"] != mac:
            _set_address(client, vif["id"], mac)
            vif["address"] = mac


def unplug(context, vifs: list) -> None:
    """Give the user's own ports an address of their own again; nova deletes the others."""
    kept = [vif for vif in vifs or () if vif.get("preserve_on_delete")]
    client = neutron.get_client(context, admin=True) if kept else None
    for vif in kept:
        try:
            client.update_port(vif["id"], {"port": {"binding:host_id": "", "mac_address": None}})
        except neutron_errors.NeutronClientException as error:
            # The machine is given back all the same: a kept port that still has its address is the smaller evil.
            LOG.warning("Port %s keeps the machine's address: %s", vif["id"], error)


def addresses(vifs: list) -> list[dict[str, Any]]:
    """Say to the machines API which interface has which address."""
    return [described(vif) for vif in vifs]


def described(vif: Mapping[str, Any]) -> dict[str, Any]:
    """Describe one port; of its subnets the first IPv4 one counts."""
    network = vif["network"]
    port: dict[str, Any] = {"mac": vif["address"], "port_id": vif["id"]}
    if mtu := (network.get("meta") or {}).get("mtu"):
        port["mtu"] = mtu
    subnet = next((s for s in network["subnets"] if s["version"] == 4 and s["ips"]), None)
    if subnet:
        port["address"] = f"{subnet['ips'][0]['address']}/{subnet['cidr'].rpartition('/')[2]}"
        port["dns"] = [server["address"] for server in subnet["dns"]]
        if gateway := (subnet.get("gateway") or {}).get("address"):
            port["gateway"] = gateway
    return port


def _set_address(client, port_id: str, mac: str) -> None:
    try:
        client.update_port(port_id, {"port": {"mac_address": mac}})
    except neutron_errors.NeutronClientException as error:
        raise MachineFailed(
            told(f"port {port_id} does not take the address {mac}: {error}", f"openstack port list --mac-address {mac}")
        ) from error

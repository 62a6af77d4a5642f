# SPDX-License-Identifier: Apache-2.0
"""Network drivers are data: what a personal cloud has because of its driver, and what its network is in neutron."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class NetworkDriver:
    """What depends on the driver here; on the hosts it is the role neutron_<name> and roles/neutron/vars/<name>.yml.

    `network` are the attributes of the servers' network in neutron. With `tors`, the computes are cabled to these
    switches; without, they share the podman network arbaro-NAME-provider. `agents` name the container images that its
    computes run. The three `…_log` tell where to look when a server lacks that (arguments of `arbaro logs NAME`).
    """

    name: str
    network: Mapping[str, str]
    dhcp_log: str
    metadata_log: str
    filter_log: str
    subnet_pool: str | None = None
    tors: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()


LINUXBRIDGE = NetworkDriver(
    "linuxbridge",
    {"provider_network_type": "flat", "provider_physical_network": "physnet1"},
    dhcp_log="{host} neutron-dhcp-agent",
    metadata_log="{host} neutron-metadata-agent",
    filter_log="{host} neutron-linuxbridge-agent",
)
L2ISOLATE = NetworkDriver(
    "l2isolate",
    {"provider_network_type": "l2isolate"},
    dhcp_log="{host} l2isolate-dhcp",
    metadata_log="controller nova-api-metadata",
    filter_log="{host} neutron-l2isolate-agent",
    subnet_pool="guests",
    tors=("tor1", "tor2"),
    agents=("l2isolate",),
)

#: The first one is for clouds that ask for none.
NETWORK_DRIVERS: Mapping[str, NetworkDriver] = {driver.name: driver for driver in (L2ISOLATE, LINUXBRIDGE)}
DEFAULT_DRIVER = next(iter(NETWORK_DRIVERS))

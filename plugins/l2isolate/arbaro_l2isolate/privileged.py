# SPDX-License-Identifier: Apache-2.0
"""The only doors to the kernel: two privsep contexts, each with just the capabilities it needs."""

from oslo_privsep import capabilities, priv_context

# Links, addresses, routes, neighbours, nftables, conntrack.
network = priv_context.PrivContext(
    "arbaro_l2isolate",
    cfg_section="privsep_l2isolate",
    pypath=__name__ + ".network",
    capabilities=[capabilities.CAP_NET_ADMIN],
)

# dnsmasq binds port 67, sends raw answers to guests that have no address yet, and drops to a user of its own (SETUID,
# SETGID), under whose name it is signalled (KILL). Not asked for where a container of its own keeps dnsmasq.
dhcp = priv_context.PrivContext(
    "arbaro_l2isolate",
    cfg_section="privsep_l2isolate_dhcp",
    pypath=__name__ + ".dhcp",
    capabilities=[
        capabilities.CAP_NET_ADMIN,
        capabilities.CAP_NET_RAW,
        capabilities.CAP_NET_BIND_SERVICE,
        capabilities.CAP_SETUID,
        capabilities.CAP_SETGID,
        capabilities.CAP_KILL,
    ],
)

# SPDX-License-Identifier: Apache-2.0
"""Names and numbers that drivers, agent, kernel and routing daemon have to agree on."""

NETWORK_TYPE = "l2isolate"
AGENT_TYPE = "L2 isolate agent"
AGENT_BINARY = "neutron-l2isolate-agent"
EXTENSION_DRIVER_TYPE = "l2isolate"

# nova calls a tap "tap" + the first 11 characters of the port's id: the kernel takes 15 in all.
TAP_PREFIX = "tap"
TAP_NAME_LENGTH = 14

# Ours among /etc/iproute2/rt_protos: what carries it was put there by the agent, nothing else ever was.
ROUTE_PROTOCOL = 97
# FRR keeps no foreign protocol number, but it can match the metric (route-map "match metric").
ROUTE_METRIC = 4210
# The smaller metric wins: a server that has just moved here is announced without AS prepend, see docs/decisions.
ELEVATED_METRIC = 4209

METADATA_ADDRESS = "169.254.169.254"


def tap_of(port_id: str) -> str:
    """Return the name of the tap that nova makes for a port."""
    return (TAP_PREFIX + port_id)[:TAP_NAME_LENGTH]

# SPDX-License-Identifier: Apache-2.0
"""Options of the agent, section [l2isolate] of its configuration file."""

from oslo_config import cfg

from arbaro_l2isolate import names

OPTIONS = [
    cfg.IntOpt(
        "reconcile_interval",
        default=60,
        min=1,
        help="Seconds between two comparisons of all taps with what neutron wants, whether or not a message came.",
    ),
    cfg.IntOpt(
        "elevated_seconds",
        default=0,
        min=0,
        help="How long a server that arrives by live migration is announced with the better metric (4209), so that "
        "the fabric prefers this host while the old one still announces it. Needs the routing daemon's policy for it; "
        "0 switches it off.",
    ),
    cfg.StrOpt(
        "dhcp_directory",
        default="/var/lib/arbaro-l2isolate/dhcp",
        help="Where dnsmasq's configuration is written.",
    ),
    cfg.StrOpt("dhcp_user", default="dnsmasq", help="The user that dnsmasq becomes after it has opened its sockets."),
    cfg.BoolOpt(
        "dhcp_supervised",
        default=False,
        help="Somebody else keeps dnsmasq running, in a container of its own; the agent only tells it, by the pipe "
        "`control` in dhcp_directory, to read its files again or to start anew.",
    ),
    cfg.IntOpt("dhcp_lease_seconds", default=86400, min=120, help="How long a lease lasts."),
    cfg.ListOpt("dns_servers", default=[], help="DNS servers for subnets that name none themselves."),
    cfg.StrOpt("dns_domain", default="openstacklocal", help="The domain that guests are told; empty for none."),
    cfg.StrOpt(
        "metadata_address",
        default=names.METADATA_ADDRESS,
        help="The IPv4 address of nova's metadata service. Guests always ask 169.254.169.254; where the service is "
        "elsewhere, their requests are sent there with the guest's own source address, by which it knows who asks.",
    ),
    cfg.PortOpt("metadata_port", default=80, help="The port of nova's metadata service; guests always ask port 80."),
]

SECTION = "l2isolate"


def register(conf=cfg.CONF):
    """Make the options known to a configuration."""
    conf.register_opts(OPTIONS, SECTION)


def list_opts():
    """Return the options for oslo-config-generator."""
    return [(SECTION, OPTIONS)]

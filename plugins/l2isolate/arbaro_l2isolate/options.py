# SPDX-License-Identifier: Apache-2.0
"""Options of the agent, section [l2isolate] of its configuration file."""

from oslo_config import cfg

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
    cfg.IntOpt("dhcp_lease_seconds", default=86400, min=120, help="How long a lease lasts."),
    cfg.ListOpt("dns_servers", default=[], help="DNS servers for subnets that name none themselves."),
    cfg.StrOpt("dns_domain", default="openstacklocal", help="The domain that guests are told; empty for none."),
    cfg.PortOpt(
        "metadata_port",
        default=80,
        help="Where nova's metadata service listens on 169.254.169.254 of this host; guests always ask port 80.",
    ),
]

SECTION = "l2isolate"


def register(conf=cfg.CONF):
    """Make the options known to a configuration."""
    conf.register_opts(OPTIONS, SECTION)


def list_opts():
    """Return the options for oslo-config-generator."""
    return [(SECTION, OPTIONS)]

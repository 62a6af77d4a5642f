# SPDX-License-Identifier: Apache-2.0
"""What a guest says of itself on its console: its SSH host keys, and how far it came. Pure, nothing is touched here."""

import re

from arbaro.checks import Finding
from arbaro.cluster.drivers import NetworkDriver

KEYS_BEGIN, KEYS_END = "-----BEGIN SSH HOST KEY KEYS-----", "-----END SSH HOST KEY KEYS-----"


def host_keys(console: str) -> list[str]:
    """The SSH host keys that a guest printed on its console, as `type base64`."""
    lines = [line.strip() for line in console.replace("\r", "").splitlines()]
    end = max((index for index, line in enumerate(lines) if line == KEYS_END), default=0)
    begin = max((index for index, line in enumerate(lines[:end]) if line == KEYS_BEGIN), default=end)
    return [" ".join(line.split()[:2]) for line in lines[begin + 1 : end] if line.startswith(("ssh-", "ecdsa-"))]


def broken_link(console: str, pings: bool, driver: NetworkDriver) -> Finding:
    """Find the first broken link between a started guest and its script, by what the guest said on its console.

    What to type has places for the cloud's name, the server's host, and the openstack client.
    """
    chain = (
        (r"kernel .*up", "the guest's kernel did not start", "arbaro logs {name} {host} nova-compute"),
        (r"by DHCP", "no DHCP answer: dnsmasq, or the tap", f"arbaro logs {{name}} {driver.dhcp_log}"),
        (
            r"metadata reached|config drive read",
            "no metadata: the way to nova-api-metadata, or that itself",
            f"arbaro logs {{name}} {driver.metadata_log}",
        ),
        (r"ssh ready", "dropbear did not start in the guest", "{openstack} console log show first-vm"),
        (r"user script done", "the script has not ended", "{openstack} console log show first-vm"),
    )
    for link, means, run in chain:
        if not re.search(rf"arbaro: \S+ .*(?:{link})", console):
            return Finding("The chain broke here", f"the guest's console lacks {link!r}", means, run)
    if not pings:
        return Finding(
            "The chain broke here",
            "the guest is up, but does not answer ping",
            "security group, or the way there",
            f"arbaro logs {{name}} {driver.filter_log}",
        )
    return Finding(
        "The chain broke here",
        "the guest is up and answers ping",
        "SSH is refused",
        "{openstack} console log show first-vm",
    )

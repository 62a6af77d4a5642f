# SPDX-License-Identifier: Apache-2.0
"""The firewall's hands: the programs nft and conntrack, run with CAP_NET_ADMIN."""

import subprocess

from arbaro_l2isolate import privileged
from arbaro_l2isolate.firewall import flows
from arbaro_l2isolate.firewall.rules import TABLE


class NftError(RuntimeError):
    """nft refused a script, of which nothing was applied; the message is nft's."""


@privileged.network.entrypoint
def apply(script):
    """Apply a script whole or not at all (NftError)."""
    done = subprocess.run(["nft", "-f", "-"], input=script, capture_output=True, text=True)
    if done.returncode:
        raise NftError(done.stderr.strip()[:4000])


@privileged.network.entrypoint
def has_table():
    """Return whether the kernel holds our table, from this agent or an earlier one."""
    # Names of tables only: to list a chain, nft first fetches every element, 0.15 s with 1,000 ports.
    listed = subprocess.run(["nft", "list", "tables", "inet"], capture_output=True, text=True)
    return f"table inet {TABLE}" in listed.stdout.splitlines()


@privileged.network.entrypoint
def list_flows(addresses):
    """Return the tracked IPv4 flows of these addresses, each as a list of Flow's fields."""
    listed = subprocess.run(["conntrack", "-L", "-f", "ipv4"], capture_output=True, text=True, check=True)
    return [list(flow) for flow in flows.parse(listed.stdout, set(addresses))]


@privileged.network.entrypoint
def end_flows(ended):
    """Make the kernel forget flows; one that has ended by itself meanwhile is no failure."""
    for fields in ended:
        subprocess.run(["conntrack", "-D", "-f", "ipv4", *_selection(flows.Flow(*fields))], capture_output=True)


def _selection(flow):
    words = ["-p", str(flow.protocol), "-s", flow.source, "-d", flow.target]
    if flow.protocol == flows.ICMP:
        words += ["--icmp-type", str(flow.first), "--icmp-code", str(flow.second), "--icmp-id", str(flow.third)]
    elif flow.protocol in flows.WITH_PORTS:
        words += ["--sport", str(flow.first), "--dport", str(flow.second)]
    return words

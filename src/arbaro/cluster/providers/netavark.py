# SPDX-License-Identifier: Apache-2.0
"""What netavark 1.4 leaves behind when the last network is gone: empty chains and the jumps to them."""

from arbaro import shell

_JUMPS = (
    ("nat", "POSTROUTING", "-j NETAVARK-HOSTPORT-MASQ"),
    ("nat", "PREROUTING", "-m addrtype --dst-type LOCAL -j NETAVARK-HOSTPORT-DNAT"),
    ("nat", "OUTPUT", "-m addrtype --dst-type LOCAL -j NETAVARK-HOSTPORT-DNAT"),
    ("filter", "FORWARD", "-m comment --comment|netavark firewall plugin rules|-j NETAVARK_FORWARD"),
)
_CHAINS = (
    ("nat", "NETAVARK-HOSTPORT-SETMARK"),
    ("nat", "NETAVARK-HOSTPORT-MASQ"),
    ("nat", "NETAVARK-HOSTPORT-DNAT"),
    ("filter", "NETAVARK_FORWARD"),
)


def sweep() -> None:
    """Remove them when no container runs that could use them; then also tables in which nothing is left."""
    if shell.run(["podman", "ps", "--quiet"]).strip():
        return
    for table, chain, rule in _JUMPS:
        words = [word for part in rule.split("|") for word in ([part] if " firewall " in part else part.split())]
        while shell.succeeds(["iptables", "-t", table, "-D", chain, *words]):
            pass
    for table, chain in _CHAINS:
        if shell.succeeds(["iptables", "-t", table, "-F", chain]):
            shell.run(["iptables", "-t", table, "-X", chain], check=False)
    for table in ("nat", "filter"):
        if is_empty(shell.run(["iptables-save", "-t", table], check=False)):
            shell.run(["nft", "delete", "table", "ip", table], check=False)


def is_empty(saved: str) -> bool:
    """Say whether a table has neither rules, nor chains of somebody's own, nor another policy than to accept."""
    lines = [line for line in saved.splitlines() if line.startswith(("-A", ":"))]
    return all(line.startswith(":") and " ACCEPT " in line for line in lines)

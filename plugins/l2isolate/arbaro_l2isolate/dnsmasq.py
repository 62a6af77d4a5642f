# SPDX-License-Identifier: Apache-2.0
"""DHCP: one dnsmasq for all taps of a host: its files, and what a change of them needs; pure but for `Dnsmasq`.

One file for each port and each subnet, so that a port is one small write. dnsmasq sees a new port's file by itself; it
does not see one that has changed or gone, and it remembers old leases (so that an address's next owner would get none):
that needs a restart, which takes 0.04 s with 1,000 ports and forgets nothing that the files do not say (there is no
lease file).
"""

from __future__ import annotations

import ipaddress
import pathlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from arbaro_l2isolate import dnsmasq_process
from arbaro_l2isolate.ports import Subnet, ipv4_addresses

CONFIGURATION = "dnsmasq.conf"
NOTHING, RELOAD, RESTART = NEEDS = "", "reload", "restart"
DUE = ".due"  # In the directory: an agent ended before dnsmasq had taken what it wrote.
MICROSOFT_ROUTES = 249  # What older Windows asks for in place of option 121.


@dataclass(frozen=True)
class Lease:
    """What one guest is told; `mtu` in bytes, 0 for the guest's own choice."""

    tap: str
    mac: str
    address: str
    subnet: Subnet
    mtu: int = 0


def wanted_leases(devices: Iterable[Mapping], subnets: Mapping[str, Subnet]) -> list[Lease]:
    """Return a lease for each device: its first IPv4 address in a subnet with DHCP and a gateway.

    Without the gateway's address on the tap, dnsmasq would not know which subnet a request comes from.
    """
    leases = []
    for details in devices:
        served = ((subnets[id_], address) for id_, address in ipv4_addresses(details) if id_ in subnets)
        first = next(((subnet, address) for subnet, address in served if subnet.dhcp and subnet.gateway), None)
        if first:
            mac, mtu = details["mac_address"].lower(), details.get("mtu") or 0
            leases.append(Lease(details["device"], mac, first[1], first[0], mtu))
    return leases


def render(leases: Iterable[Lease], settings) -> dict[str, str]:
    """Return the files, relative to the directory; `settings` are the options of section [l2isolate]."""
    leases = list(leases)
    subnets = {lease.subnet.id: lease for lease in leases}
    return {
        CONFIGURATION: _configuration(settings),
        **{f"subnets/{id_}.conf": _subnet(lease.subnet, lease.mtu, settings) for id_, lease in subnets.items()},
        **{f"hosts/{lease.tap}": _host(lease, settings) for lease in leases},
    }


def _configuration(settings) -> str:
    directory = settings.dhcp_directory
    lines = [
        "# Written by neutron-l2isolate-agent.",
        "port=0",  # No DNS.
        "no-resolv",
        "no-hosts",
        "bind-dynamic",  # Taps that come later are served without a restart.
        "interface=tap*",
        "dhcp-authoritative",
        "dhcp-ignore=tag:!known",  # Silence, not refusal, for whom neutron does not know (yet).
        "leasefile-ro",
        "no-ping",
        "dhcp-lease-max=100000",
        f"dhcp-hostsdir={directory}/hosts",
        f"conf-dir={directory}/subnets,*.conf",
        f"pid-file={directory}/pid",
        f"user={settings.dhcp_user}",
        "log-facility=-",
    ]
    return "\n".join(lines) + "\n"


def _subnet(subnet: Subnet, mtu: int, settings) -> str:
    """Return a subnet's file: addresses come from the ports' files only (`static`)."""
    tag = f"tag:s{subnet.id}"
    network = ipaddress.ip_network(subnet.cidr)
    dns = subnet.dns or tuple(settings.dns_servers)
    routes = ",".join(guest_routes(subnet))
    lines = [
        f"dhcp-range=set:s{subnet.id},{network.network_address},static,{network.netmask},{settings.dhcp_lease_seconds}s",
        f"dhcp-option={tag},option:router,{subnet.gateway}",
        f"dhcp-option={tag},option:classless-static-route,{routes}",
        f"dhcp-option={tag},{MICROSOFT_ROUTES},{routes}",
        # An empty option keeps dnsmasq from naming itself as DNS server.
        f"dhcp-option={tag},option:dns-server" + "".join(f",{server}" for server in dns),
    ]
    if settings.dns_domain:
        lines.append(f"dhcp-option={tag},option:domain-name,{settings.dns_domain}")
    if mtu:
        # Forced: busybox's udhcpc does not ask for it, and needs it all the same.
        lines.append(f"dhcp-option-force={tag},option:mtu,{mtu}")
    return "\n".join(lines) + "\n"


def guest_routes(subnet: Subnet) -> list[str]:
    """Return option 121 as destination, next hop, …; clients that understand it ignore the router option.

    The gateway comes first and on-link, so that the default route also holds where the guest's address has a mask of
    /32.
    """
    routes = [f"{subnet.gateway}/32", "0.0.0.0", "0.0.0.0/0", subnet.gateway]
    for destination, next_hop in subnet.routes:
        if ipaddress.ip_network(destination).version == 4:
            routes += [destination, next_hop]
    return routes


def _host(lease: Lease, settings) -> str:
    """Return a port's file; dnsmasq tags a request with its interface, so a MAC counts on its own tap only."""
    name = "host-" + lease.address.replace(".", "-")
    return f"{lease.mac},tag:{lease.tap},{lease.address},{name},{settings.dhcp_lease_seconds}\n"


def wanted_files(found: Mapping[str, str], files: Mapping[str, str], complete: bool) -> dict[str, str]:
    """Return what is to be on disk: until neutron has spoken of all taps (`complete`), nothing found goes."""
    return dict(files) if complete else {**found, **files}


def needed(found: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    """Return what dnsmasq needs to know of a change: RESTART, RELOAD or NOTHING."""
    changed = {path for path in found.keys() | wanted.keys() if found.get(path) != wanted.get(path)}
    if not changed:
        return NOTHING
    if all(path.startswith("hosts/") and path not in found for path in changed):
        return RELOAD
    return RESTART


class Dnsmasq:
    """The hands: writes the files and keeps a dnsmasq that reads them. Agents come and go, it stays."""

    def __init__(self, directory: str, process=dnsmasq_process):
        """Read what an earlier agent left in `directory` (an absolute path)."""
        self._directory = pathlib.Path(directory)
        self._process = process
        self._found = {
            str(path.relative_to(self._directory)): path.read_text()
            for pattern in (CONFIGURATION, "subnets/*.conf", "hosts/[!.]*")
            for path in self._directory.glob(pattern)
        }
        self._due = RESTART if (self._directory / DUE).exists() else NOTHING

    def make(self, files: Mapping[str, str], complete: bool) -> str:
        """Make files and dnsmasq so; return what was needed. What fails is due until it has worked."""
        wanted = wanted_files(self._found, files, complete)
        needs = max(self._due, needed(self._found, wanted), key=NEEDS.index)
        if needs == NOTHING:
            return needs
        if needs != self._due:
            self._due = needs
            self._write(DUE, "")
        for path in wanted.keys() | self._found.keys():
            if self._found.get(path) != wanted.get(path):
                self._write(path, wanted.get(path))
        self._found = wanted
        (self._process.reload if needs == RELOAD else self._process.restart)(str(self._directory))
        self._write(DUE, None)
        self._due = NOTHING
        return needs

    def look_after(self) -> None:
        """Start dnsmasq if it should be there and is not."""
        if CONFIGURATION in self._found and not self._process.is_running(str(self._directory)):
            self._process.restart(str(self._directory))

    def _write(self, path: str, text: str | None) -> None:
        target = self._directory / path
        if text is None:
            target.unlink(missing_ok=True)
            return
        for name in ("hosts", "subnets"):
            (self._directory / name).mkdir(parents=True, exist_ok=True)
        # dnsmasq reads no file whose name begins with a dot, so it never sees half a file.
        draft = target.with_name(f".{target.name}")
        draft.write_text(text)
        draft.rename(target)

# SPDX-License-Identifier: Apache-2.0
"""Hosts as system containers of podman: a whole Debian with systemd each, in its own network namespace.

A cloud NAME is the networks arbaro-NAME (its labels hold the spec) and arbaro-NAME-provider, and the containers
arbaro-NAME-HOST. Why these flags: docs/decisions/0002-system-containers.md.
"""

import json
import os
import resource
import shutil
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from arbaro import shell
from arbaro.cluster.providers import Files, HostState, cables, netavark
from arbaro.cluster.spec import CloudSpec, address_of
from arbaro.errors import ArbaroError, CommandError
from arbaro.hosts import COMPUTE, Host

LABEL = "arbaro.cloud"
#: Where bridged frames pass the machine's own rules (net.bridge.bridge-nf-call-iptables), netavark masquerades all that
#: leaves the provider network, and with it a guest's request to a DHCP agent on another compute: the metadata service
#: could no longer tell who asks. And what this machine forwards for the cloud, nobody outside may open.
RULES = """\
table ip {table} {{
    chain prerouting {{
        type filter hook prerouting priority raw
        ip saddr {p} ip daddr 169.254.169.254 notrack
        ip saddr 169.254.169.254 ip daddr {p} notrack
    }}
    chain forward {{
        type filter hook forward priority filter
        ip saddr != {{ {u}, {p} }} ip daddr {{ {u}, {p} }} ct state new drop
    }}
    chain postrouting {{
        type nat hook postrouting priority srcnat
        ip saddr {p} ip daddr != {{ {u}, {p} }} masquerade
    }}
}}
"""


class Podman:
    """The provider `podman`."""

    def find_cloud(self, name: str) -> CloudSpec | None:
        """Read a cloud's spec from the labels of its network; hosts beyond the label's number count too."""
        return next((spec for spec in self.list_clouds() if spec.name == name), None)

    def list_clouds(self) -> list[CloudSpec]:
        """Read all specs, by the networks that carry one."""
        networks = _podman_json("network", "ls", "--filter", f"label={LABEL}", "--format", "json")
        return sorted(
            (self._spec_of(network) for network in networks if "arbaro.release" in network["labels"]),
            key=lambda spec: spec.name,
        )

    def taken_networks(self) -> list[IPv4Network]:
        """Everything that this machine routes, and the networks of podman, running or not."""
        routes = json.loads(shell.run(["ip", "-4", "-json", "route", "show", "table", "all"]))
        routed = {
            IPv4Network(route["dst"])
            for route in routes
            if route["dst"] != "default" and route.get("type") != "broadcast"
        }
        inspected = _podman_json("network", "ls", "--format", "json")
        given = {
            IPv4Network(subnet["subnet"])
            for network in inspected
            for subnet in network.get("subnets") or []
            if ":" not in subnet["subnet"]
        }
        return sorted(routed | given)

    def networks_are_missing(self, spec: CloudSpec) -> bool:
        """Say whether one of them is not there."""
        return not all(shell.succeeds(["podman", "network", "exists", name]) for name in _networks(spec))

    def create_networks(self, spec: CloudSpec) -> None:
        """Make the provider network first: the other one carries the spec, so it is there only when both are."""
        labels = {LABEL: spec.name}
        facts = {
            "release": spec.release,
            "computes": spec.computes,
            "network": spec.network,
            "provider": spec.provider,
            **({"machines": spec.machines} if spec.machines else {}),
        }
        facts_labels = {f"arbaro.{key}": str(value) for key, value in facts.items()}
        for name, subnet in _networks(spec).items():
            _create_network(name, subnet, labels | (facts_labels if subnet == spec.underlay else {}))

    def rules_are_missing(self, spec: CloudSpec) -> bool:
        """Say whether the rules of `write_rules` are missing, as they are after this machine's restart."""
        return not shell.succeeds(["nft", "list", "table", "ip", _network(spec.name)])

    def write_rules(self, spec: CloudSpec) -> None:
        """Write this machine's own packet rules for the cloud, in a table of its own."""
        shell.run(["nft", "-f", "-"], stdin=RULES.format(table=_network(spec.name), u=spec.underlay, p=spec.provider))

    def create_host(self, spec: CloudSpec, host: Host, image: str, files: Files) -> None:
        """Make the container, then lay the files into it; what a killed run left half made is made anew."""
        name = _container(spec.name, host.name)
        networks = ["--network", f"{_network(spec.name)}:ip={host.address},interface_name=eth0"]
        if host.is_a(COMPUTE) and not spec.tors:
            address = spec.provider_address(host)
            networks += ["--network", f"{_network(spec.name)}-provider:ip={address},interface_name=eth1"]
        shell.run(
            [
                "podman",
                "create",
                "--replace",
                *system_container_flags(),
                "--name",
                name,
                "--hostname",
                host.name,
                "--label",
                f"{LABEL}={spec.name}",
                "--label",
                f"arbaro.host={host.name}",
                *networks,
                image,
                "/sbin/init",
            ],
            timeout=120,
        )
        self.lay_files(name, files)

    def lay_files(self, container: str, files: Files) -> None:
        """Put files onto a container's disk, running or not.

        Not by `podman cp -`: podman 4.3 leaves its standard input, with all secrets, in a file below /var/tmp.
        """
        root = Path(shell.run(["podman", "mount", container]).strip())
        try:
            for path, (mode, content) in files.items():
                _write(root / path.lstrip("/"), mode, content)
        finally:
            shell.run(["podman", "umount", container])

    def list_hosts(self, name: str) -> list[HostState]:
        """Look at the containers that carry the cloud's label."""
        found = _podman_json("ps", "--all", "--filter", f"label={LABEL}={name}", "--format", "json")
        return [HostState(entry["Labels"]["arbaro.host"], _state(entry), entry["Image"]) for entry in found]

    def start_host(self, name: str, host: str) -> None:
        """Start the container.

        Raises ArbaroError where podman itself was killed while it started this host before: podman 4.3 keeps the
        address for ever, and a network namespace; only the network's removal frees it.
        """
        try:
            shell.run(["podman", "start", _container(name, host)], timeout=180, to_its_end=True)
        except CommandError as error:
            if "already allocated" in error.output:
                error.what = f"podman was killed while it started {host}, and keeps its address for nobody."
                error.hint = f"arbaro down {name}, then arbaro up {name}"
            raise

    def stop_host(self, name: str, host: str) -> None:
        """Let systemd shut the host down; after 60 s it is switched off."""
        shell.run(["podman", "stop", "--time", "60", _container(name, host)], timeout=120)

    def fabric_is_missing(self, spec: CloudSpec) -> bool:
        """Say whether a cable, or this machine's route to the servers, is missing; both end with the hosts."""
        cut = bool(spec.tors) and bool(cables.missing(spec, _pids(spec.name)))
        return cut or not all(_is_routed(network, via) for network, via in wanted_routes(spec).items())

    def join_fabric(self, spec: CloudSpec) -> None:
        """Lay the missing cables, and route the servers' addresses to the fabric, the machines' to their rack."""
        cables.lay(spec, _pids(spec.name))
        for network, via in wanted_routes(spec).items():
            shell.run(["ip", "route", "replace", str(network), "via", str(via)])

    def has_parts(self, name: str) -> bool:
        """Say whether anything is there that carries the cloud's label, be it half made."""
        networks = _podman_json("network", "ls", "--filter", f"label={LABEL}={name}", "--format", "json")
        return bool(networks or self.list_hosts(name))

    def delete_cloud(self, name: str) -> None:
        """Remove containers, then networks: a killed `down` finds by the spec's network what is left."""
        containers = [_container(name, state.name) for state in self.list_hosts(name)]
        if containers:
            remove = ["podman", "rm", "--force", "--ignore", "--time", "0", "--volumes", *containers]
            # On a busy machine a host may take longer to die than podman waits; the second time it is dead.
            try:
                shell.run(remove, timeout=180, to_its_end=True)
            except CommandError:
                shell.run(remove, timeout=180, to_its_end=True)
        if shell.succeeds(["nft", "list", "table", "ip", _network(name)]):
            shell.run(["nft", "delete", "table", "ip", _network(name)])
        for network in (f"{_network(name)}-provider", _network(name)):
            if shell.succeeds(["podman", "network", "exists", network]):
                shell.run(["podman", "network", "rm", network])
        netavark.sweep()

    def _spec_of(self, network: dict[str, Any]) -> CloudSpec:
        labels = network["labels"]
        hosts = [state.name for state in self.list_hosts(labels[LABEL])]
        numbers = [int(name.removeprefix("compute")) for name in hosts if name.startswith("compute")]
        computes = max(int(labels["arbaro.computes"]), *numbers, 0)
        return CloudSpec(
            labels[LABEL],
            labels["arbaro.release"],
            computes,
            labels["arbaro.network"],
            IPv4Network(network["subnets"][0]["subnet"]),
            IPv4Network(labels["arbaro.provider"]),
            int(labels.get("arbaro.machines", 0)),
        )


def system_container_flags() -> list[str]:
    """The podman flags that make a container a host with a working systemd, also on restricted machines.

    Without CAP_SYS_RESOURCE limits cannot be raised, and podman's own defaults are above the hard ones; podman itself
    lowers its process limit to pid_max (podman 4.3, libpod/container_internal_linux).
    """
    files = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 1048576)
    pid_max = int(Path("/proc/sys/kernel/pid_max").read_text())
    hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    processes = min(hard if hard > 0 else pid_max, pid_max)
    return [
        "--systemd=always",
        "--privileged",
        "--no-hosts",
        "--ulimit",
        f"nofile=1024:{files}",
        "--ulimit",
        f"nproc={processes}:{processes}",
    ]


def _state(entry: dict[str, Any]) -> str:
    # After an unclean restart of this machine podman 4.3 calls every container "created", also those that have run;
    # only one that was never started may be made anew.
    state = str(entry["State"])
    return "exited" if state in ("created", "configured") and entry["StartedAt"] > 0 else state


def _create_network(name: str, subnet: IPv4Network, labels: dict[str, str]) -> None:
    if shell.succeeds(["podman", "network", "exists", name]):
        return
    flags = [word for key, value in labels.items() for word in ("--label", f"{key}={value}")]
    try:
        shell.run(["podman", "network", "create", "--disable-dns", "--subnet", str(subnet), *flags, name])
    except ArbaroError as error:
        error.hint = "Choose another range: set `underlay` in settings.toml (docs/reference/settings.md)."
        raise


def _podman_json(*arguments: str) -> list[dict[str, Any]]:
    # Before the first `up` there may be no podman; then there is nothing of it either.
    found = json.loads(shell.run(["podman", *arguments]) or "[]") if shutil.which("podman") else []
    return found or []


def _write(path: Path, mode: int, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)


def _pids(name: str) -> dict[str, int]:
    """The first process of each host that runs; it stands for the host's network namespace."""
    found = _podman_json("ps", "--filter", f"label={LABEL}={name}", "--format", "json")
    return {entry["Labels"]["arbaro.host"]: entry["Pid"] for entry in found}


def wanted_routes(spec: CloudSpec) -> dict[IPv4Network, IPv4Address]:
    """Plan this machine's routes into the cloud: network → the address behind which it is."""
    fabric = {spec.provider: spec.guest_router} if spec.tors else {}
    return fabric | ({spec.rack_network: address_of(spec.rack)} if spec.machines else {})


def _is_routed(network: IPv4Network, via: IPv4Address) -> bool:
    return leads_to(json.loads(shell.run(["ip", "-4", "-json", "route", "show"])), network, via)


def leads_to(routes: Iterable[Mapping[str, Any]], network: IPv4Network, via: IPv4Address) -> bool:
    """Say whether exactly this network is routed to exactly this address. `routes` are as `ip -json` prints them."""
    return any(route["dst"] == str(network) and route.get("gateway") == str(via) for route in routes)


def _networks(spec: CloudSpec) -> dict[str, IPv4Network]:
    """The cloud's networks, the one that carries the spec last, so that it is there only when all are."""
    shared = {} if spec.tors else {f"{_network(spec.name)}-provider": spec.provider}
    return shared | {_network(spec.name): spec.underlay}


def _network(name: str) -> str:
    return f"arbaro-{name}"


def _container(name: str, host: str) -> str:
    return f"arbaro-{name}-{host}"

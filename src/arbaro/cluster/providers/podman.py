# SPDX-License-Identifier: Apache-2.0
"""Hosts as system containers of podman: a whole Debian with systemd each, in its own network namespace.

A cloud NAME is the networks arbaro-NAME (its labels hold the spec) and arbaro-NAME-provider, and the containers
arbaro-NAME-HOST. Why these flags: docs/decisions/0002-system-containers.md.
"""

import json
import os
import resource
import shutil
import signal
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from arbaro import shell
from arbaro.cluster import this_machine
from arbaro.cluster.providers import Files, HostKind, HostState, cables, netavark, networks
from arbaro.cluster.providers.labels import HOST_LABEL, LABEL, RELEASE_LABEL, spec_of
from arbaro.cluster.spec import CloudSpec, memory_for
from arbaro.errors import CommandError
from arbaro.hosts import COMPUTE, Host
from arbaro.reach import Reach
from arbaro.steps import Plan, Step

#: MiB that one cloud's hosts write on the disk in their first hours.
CLOUD_DISK = 1000
#: Where a container's monitor (conmon) tells podman with which code the container ended.
EXIT_NOTES = Path("/run/libpod/exits")


class Podman:
    """The provider `podman`."""

    def find_cloud(self, name: str) -> CloudSpec | None:
        """Read a cloud's spec from the labels of its network; hosts beyond the label's number count too."""
        return next((spec for spec in self.list_clouds() if spec.name == name), None)

    def list_clouds(self) -> list[CloudSpec]:
        """Read all specs, by the networks that carry one."""
        found = _podman_json("network", "ls", "--filter", f"label={LABEL}", "--format", "json")
        return sorted(
            (self._spec_of(network) for network in found if RELEASE_LABEL in network["labels"]),
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

    def host_kind(self) -> HostKind:
        """Containers on this machine: what it has, they have."""
        here = this_machine.look()
        return HostKind(here.cores, here.virt_type, here.virt_reason, in_container=True)

    def check_capacity(self, spec: CloudSpec, missing: Sequence[Host]) -> None:
        """Look whether this machine has memory and disk for them."""
        this_machine.check_capacity(memory_for(spec, missing), CLOUD_DISK if missing else 0, this_machine.look())

    def preparation(self) -> Plan:
        """Podman and its tools, and a cgroup tree that crun accepts."""
        return [
            Step(
                "Install Debian packages",
                lambda: bool(this_machine.missing_packages()),
                this_machine.install_packages,
                25,
            ),
            Step(
                "Mend the cgroup tree for system containers",
                this_machine.cgroups_need_mending,
                this_machine.mend_cgroups,
            ),
        ]

    def has_image(self, name: str) -> bool:
        """Say whether it is in podman's store."""
        return shell.succeeds(["podman", "image", "exists", name])

    def publication(self, images: Iterable[str]) -> Plan:
        """Nothing: what is baked here is where hosts are made."""
        return []

    def ground(self, spec: CloudSpec) -> Plan:
        """The networks, and this machine's packet rules for them."""
        return networks.ground(spec)

    def junction(self, spec: CloudSpec) -> Plan:
        """The cables of the fabric, and this machine's routes to the servers; both end with the hosts."""
        return [
            Step("Cable the hosts to the fabric", lambda: self._is_apart(spec), lambda _: self._join(spec)),
        ]

    def create_host(self, spec: CloudSpec, host: Host, image: str, files: Files) -> None:
        """Make the container, then lay the files into it; what a killed run left half made is made anew."""
        name = _container(spec.name, host.name)
        underlay = networks.network(spec.name)
        cards = ["--network", f"{underlay}:ip={host.address},interface_name=eth0"]
        if host.is_a(COMPUTE) and not spec.tors:
            cards += ["--network", f"{underlay}-provider:ip={spec.provider_address(host)},interface_name=eth1"]
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
                f"{HOST_LABEL}={host.name}",
                *cards,
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
        return [HostState(entry["Labels"][HOST_LABEL], _state(entry), entry["Image"]) for entry in found]

    def start_host(self, name: str, host: str) -> None:
        """Start the container.

        Raises ArbaroError where podman itself was killed while it started this host before: podman 4.3 keeps the
        address for ever, and a network namespace; only the network's removal frees it.
        """
        _tell_ends(name)
        try:
            shell.run(["podman", "start", _container(name, host)], timeout=180, to_its_end=True)
        except CommandError as error:
            if "already allocated" in error.output:
                error.what = f"podman was killed while it started {host}, and keeps its address for nobody."
                error.hint = f"arbaro down {name}, then arbaro up {name}"
            raise

    def reach(self, spec: CloudSpec, direct: Reach) -> Reach:
        """As it is: this machine is on the hosts' network."""
        return direct

    def stop_host(self, name: str, host: str) -> None:
        """Let systemd shut the host down; after 60 s it is switched off."""
        shell.run(["podman", "stop", "--time", "60", _container(name, host)], timeout=120)

    def has_parts(self, name: str) -> bool:
        """Say whether anything is there that carries the cloud's label, be it half made."""
        found = _podman_json("network", "ls", "--filter", f"label={LABEL}={name}", "--format", "json")
        return bool(found or self.list_hosts(name))

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
        networks.delete(name)
        netavark.sweep()

    def _is_apart(self, spec: CloudSpec) -> bool:
        cut = bool(spec.tors) and bool(cables.missing(spec, _pids(spec.name)))
        return cut or not networks.are_routed(spec)

    def _join(self, spec: CloudSpec) -> None:
        cables.lay(spec, _pids(spec.name))
        networks.route(spec)

    def _spec_of(self, found: Mapping[str, Any]) -> CloudSpec:
        hosts = [state.name for state in self.list_hosts(found["labels"][LABEL])]
        return spec_of(found["labels"], IPv4Network(found["subnets"][0]["subnet"]), hosts)


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
    has_ended = _died_unseen(entry) or (state in ("created", "configured") and entry["StartedAt"] > 0)
    return "exited" if has_ended else state


def _died_unseen(entry: dict[str, Any]) -> bool:
    """Say whether podman takes for running what is dead: its monitor was killed with it, so nobody has told podman."""
    return entry["State"] in ("running", "stopping") and not _is_alive(entry["Pid"], entry["Id"])


def _is_alive(pid: int, container: str) -> bool:
    """Say whether a process lives (a zombie has no namespaces any more) and is the container's, not a later one's."""
    try:
        return Path(f"/proc/{pid}/ns/net").exists() and container in Path(f"/proc/{pid}/cgroup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def _tell_ends(name: str) -> None:
    """Leave for each host that died unseen the note that its monitor would have left; podman reads it at once."""
    for entry in _podman_json("ps", "--all", "--filter", f"label={LABEL}={name}", "--format", "json"):
        if _died_unseen(entry):
            (EXIT_NOTES / entry["Id"]).write_text(str(128 + signal.SIGKILL))


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
    return {entry["Labels"][HOST_LABEL]: entry["Pid"] for entry in found}


def _container(name: str, host: str) -> str:
    return f"arbaro-{name}-{host}"

# SPDX-License-Identifier: Apache-2.0
"""A provider in memory: it STANDS IN for real hosts. It keeps the contract of providers, and nothing runs on its hosts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network

from arbaro.cluster.providers import Files, HostKind, HostState
from arbaro.cluster.spec import CloudSpec, memory_for
from arbaro.errors import ArbaroError
from arbaro.hosts import Host
from arbaro.reach import Reach
from arbaro.steps import Plan, Step


@dataclass
class _Cloud:
    spec: CloudSpec
    hosts: dict[str, HostState] = field(default_factory=dict)
    files: dict[str, Files] = field(default_factory=dict)
    #: The hosts that run and are joined with the others.
    joined: set[str] = field(default_factory=set)


@dataclass
class InMemory:
    """Hosts in memory; `memory` is in MiB."""

    memory: int = 16000
    images: set[str] = field(default_factory=set)
    is_prepared: bool = False
    _clouds: dict[str, _Cloud] = field(default_factory=dict)

    def find_cloud(self, name: str) -> CloudSpec | None:
        cloud = self._clouds.get(name)
        if cloud is None:
            return None
        numbers = [int(host.removeprefix("compute")) for host in cloud.hosts if host.startswith("compute")]
        return replace(cloud.spec, computes=max(cloud.spec.computes, *numbers, 0))

    def list_clouds(self) -> list[CloudSpec]:
        return [spec for name in sorted(self._clouds) if (spec := self.find_cloud(name))]

    def has_parts(self, name: str) -> bool:
        return name in self._clouds

    def list_hosts(self, name: str) -> list[HostState]:
        return list(self._clouds[name].hosts.values()) if name in self._clouds else []

    def taken_networks(self) -> list[IPv4Network]:
        return sorted(net for cloud in self._clouds.values() for net in (cloud.spec.underlay, cloud.spec.provider))

    def host_kind(self) -> HostKind:
        return HostKind(2, "qemu", "nothing runs here", in_container=True)

    def check_capacity(self, spec: CloudSpec, missing: Sequence[Host]) -> None:
        if (wanted := memory_for(spec, missing)) > self.memory:
            raise ArbaroError(f"{self.memory} MiB are free, {wanted} MiB are needed.", hint="arbaro up --computes 1")

    def preparation(self) -> Plan:
        return [Step("Prepare", lambda: not self.is_prepared, lambda _: setattr(self, "is_prepared", True))]

    def has_image(self, name: str) -> bool:
        return name in self.images

    def publication(self, images: Iterable[str]) -> Plan:
        return [
            Step(
                f"Upload {name}", lambda name=name: not self.has_image(name), lambda _, name=name: self.images.add(name)
            )
            for name in images
        ]

    def ground(self, spec: CloudSpec) -> Plan:
        lay = Step("Lay the ground", lambda: spec.name not in self._clouds, lambda _: self._lay(spec))
        return [lay]

    def create_host(self, spec: CloudSpec, host: Host, image: str, files: Files) -> None:
        cloud = self._clouds[spec.name]
        cloud.hosts[host.name] = HostState(host.name, "created", image)
        cloud.files[host.name] = files

    def start_host(self, name: str, host: str) -> None:
        self._set(name, host, "running")

    def reach(self, spec: CloudSpec, direct: Reach) -> Reach:
        return direct

    def stop_host(self, name: str, host: str) -> None:
        self._set(name, host, "exited")
        self._clouds[name].joined.discard(host)

    def junction(self, spec: CloudSpec) -> Plan:
        def apart() -> set[str]:
            running = {state.name for state in self.list_hosts(spec.name) if state.state == "running"}
            return running - self._clouds[spec.name].joined

        return [Step("Join", lambda: bool(apart()), lambda _: self._clouds[spec.name].joined.update(apart()))]

    def delete_cloud(self, name: str) -> None:
        self._clouds.pop(name, None)

    def read(self, name: str, host: str, path: str) -> tuple[int, bytes]:
        """Read a file of a host, with its mode."""
        return self._clouds[name].files[host][path]

    def _lay(self, spec: CloudSpec) -> None:
        self._clouds[spec.name] = _Cloud(spec)

    def _set(self, name: str, host: str, state: str) -> None:
        hosts = self._clouds[name].hosts
        hosts[host] = replace(hosts[host], state=state)

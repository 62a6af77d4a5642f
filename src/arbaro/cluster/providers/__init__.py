# SPDX-License-Identifier: Apache-2.0
"""Where a cloud's hosts come from. Today there is one provider: podman, with system containers on this machine.

What every provider must do is tested by one suite, tests/providers/contract.py.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Protocol

from arbaro.cluster.spec import CloudSpec
from arbaro.hosts import Host
from arbaro.reach import Reach
from arbaro.steps import Plan

#: What a host must find on its disk before it starts for the first time: path → (mode, content).
Files = Mapping[str, tuple[int, bytes]]


@dataclass(frozen=True)
class HostState:
    """A host as its provider sees it; `state` is created, running or exited. `image` is what it was made from."""

    name: str
    state: str
    image: str


@dataclass(frozen=True)
class HostKind:
    """What a provider's hosts are, as far as images depend on it. `virt_type` is how they run servers: kvm or qemu."""

    cores: int
    virt_type: str
    virt_reason: str
    in_container: bool


class Provider(Protocol):
    """Makes hosts, finds them again by the cloud's name, and takes them away. Its own labels are its only memory.

    What it does to make a cloud it gives as plans, so that each provider has steps of its own: `preparation`,
    `publication`, `ground`, `junction`. A plan may be run again at any time, also when a run was killed in its middle.
    """

    def find_cloud(self, name: str) -> CloudSpec | None:
        """Read back what a cloud consists of, or None if there is none of that name."""

    def list_clouds(self) -> list[CloudSpec]:
        """Read back all clouds of this provider."""

    def has_parts(self, name: str) -> bool:
        """Say whether anything of the cloud is there, be it half made."""

    def list_hosts(self, name: str) -> list[HostState]:
        """Look at the hosts of one cloud."""

    def taken_networks(self) -> list[IPv4Network]:
        """The networks that a new cloud must keep clear of."""

    def host_kind(self) -> HostKind:
        """Say what its hosts are. Images depend on it."""

    def check_capacity(self, spec: CloudSpec, missing: Sequence[Host]) -> None:
        """Refuse early what it cannot hold: `missing` are the cloud's hosts that do not run. Raises ArbaroError."""

    def preparation(self) -> Plan:
        """What it needs before anything else."""

    def has_image(self, name: str) -> bool:
        """Say whether hosts can be made from this image."""

    def publication(self, images: Iterable[str]) -> Plan:
        """How images that were baked on this machine come to where hosts are made."""

    def ground(self, spec: CloudSpec) -> Plan:
        """What a cloud's hosts stand on: networks and rules. Something of it carries the spec for `find_cloud`."""

    def create_host(self, spec: CloudSpec, host: Host, image: str, files: Files) -> None:
        """Make a host (not started) from an image, with `files` on its disk; one that never ran is made anew."""

    def start_host(self, name: str, host: str) -> None:
        """Switch a host on."""

    def reach(self, spec: CloudSpec, direct: Reach) -> Reach:
        """How a host is reached from this machine; `direct` is by its own address, with the operator's key."""

    def stop_host(self, name: str, host: str) -> None:
        """Shut a host down in order."""

    def junction(self, spec: CloudSpec) -> Plan:
        """What joins hosts that run with one another and with this machine: cables, routes."""

    def delete_cloud(self, name: str) -> None:
        """Take away hosts, networks and volumes, whatever state they are in, and also if some are gone already."""

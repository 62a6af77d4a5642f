# SPDX-License-Identifier: Apache-2.0
"""Where a cloud's hosts come from: system containers on this machine (podman)."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Protocol

from arbaro.cluster.spec import CloudSpec
from arbaro.hosts import Host

#: What a host must find on its disk before it starts for the first time: path → (mode, content).
Files = Mapping[str, tuple[int, bytes]]


@dataclass(frozen=True)
class HostState:
    """A host as its provider sees it; `state` is created, running or exited."""

    name: str
    state: str
    image: str


class Provider(Protocol):
    """Makes hosts, finds them again by the cloud's name, and takes them away. Its own labels are its only memory."""

    def find_cloud(self, name: str) -> CloudSpec | None:
        """Read back what a cloud consists of, or None if there is none of that name."""

    def list_clouds(self) -> list[CloudSpec]:
        """Read back all clouds of this provider."""

    def taken_networks(self) -> list[IPv4Network]:
        """The networks that a new cloud must keep clear of."""

    def networks_are_missing(self, spec: CloudSpec) -> bool:
        """Say whether one of the cloud's networks is not there: a run may have been killed between them."""

    def create_networks(self, spec: CloudSpec) -> None:
        """Make the networks that are not there yet, and write the spec on them."""

    def rules_are_missing(self, spec: CloudSpec) -> bool:
        """Say whether the machine lacks packet rules that the cloud needs."""

    def write_rules(self, spec: CloudSpec) -> None:
        """Write them."""

    def create_host(self, spec: CloudSpec, host: Host, image: str, files: Files) -> None:
        """Make a host (not started) from an image, with `files` on its disk."""

    def list_hosts(self, name: str) -> list[HostState]:
        """Look at the hosts of one cloud."""

    def start_host(self, name: str, host: str) -> None:
        """Switch a host on."""

    def stop_host(self, name: str, host: str) -> None:
        """Shut a host down in order."""

    def fabric_is_missing(self, spec: CloudSpec) -> bool:
        """Say whether a cable of the fabric, or this machine's way into it, is missing."""

    def join_fabric(self, spec: CloudSpec) -> None:
        """Lay the cables between hosts that run, and this machine's way to the servers."""

    def has_parts(self, name: str) -> bool:
        """Say whether anything of the cloud is there, be it half made."""

    def delete_cloud(self, name: str) -> None:
        """Take away hosts, networks and volumes, whatever state they are in."""

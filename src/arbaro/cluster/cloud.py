# SPDX-License-Identifier: Apache-2.0
"""One personal cloud with all that acts on it, and how it is found: by what was asked for, or by its name."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from arbaro.cluster import identity, playbooks, this_machine
from arbaro.cluster.drivers import DEFAULT_DRIVER
from arbaro.cluster.first_server import FirstServer
from arbaro.cluster.ground import Ground
from arbaro.cluster.guests import Guest
from arbaro.cluster.images import HostImages
from arbaro.cluster.machine_parts import disk
from arbaro.cluster.providers import Provider
from arbaro.cluster.rack import Rack
from arbaro.cluster.spec import CloudSpec, choose_subnets
from arbaro.errors import ArbaroError
from arbaro.hosts import Host
from arbaro.inventory import Inventory
from arbaro.reach import Reach
from arbaro.releases import DEFAULT_RELEASE, load_release
from arbaro.settings import load_settings

#: MiB that images take on this machine's disk; what those of machines add is estimated.
IMAGES_DISK, MACHINES_DISK = 8000, 3000


@dataclass(frozen=True)
class Wish:
    """What was asked for on the command line; None means: as it is, or else the default."""

    name: str
    release: str | None = None
    computes: int | None = None
    network: str | None = None
    machines: int | None = None
    script: Path | None = None


@dataclass(frozen=True)
class Cloud:
    """One personal cloud with everything that is needed to act on it."""

    spec: CloudSpec
    provider: Provider
    script: Path | None = None

    @cached_property
    def keeper(self) -> identity.Keeper:
        """Its secrets and keys."""
        return identity.Keeper(self.spec.name)

    @cached_property
    def images(self) -> HostImages:
        """The images that its hosts start from."""
        release, kind = load_release(self.spec.release), self.provider.host_kind()
        return HostImages(release, self.spec.network, kind, machines=bool(self.spec.machines))

    @cached_property
    def ground(self) -> Ground:
        """What its first server stands on."""
        return Ground(self.spec, self.keeper, Guest("tiny"))

    @cached_property
    def rack(self) -> Rack:
        """Its emulated physical machines."""
        return Rack(self.spec, self.ground, disk(self.ground.guest))

    @cached_property
    def first_server(self) -> FirstServer:
        """Its first server."""
        return FirstServer(self.ground, self.script)

    @property
    def inventory(self) -> Inventory:
        """Its hosts, in groups by their roles, and how each is reached."""
        return Inventory.of(self.spec.hosts, self.reach)

    @property
    def ansible_inventory(self) -> dict[str, Any]:
        """The same for Ansible, with the variables of its roles."""
        variables = self.images.inventory_variables | self.spec.addresses
        return playbooks.inventory(self.spec.hosts, variables, self.keeper, self.reach)

    def reach(self, host: Host) -> Reach:
        """How one of its hosts is reached from here."""
        return self.provider.reach(self.spec, self.keeper.reach(host))

    @property
    def made_hosts(self) -> list[Host]:
        """The hosts that have run; each other one has still to be made from an image, be it half made."""
        found = {state.name for state in self.provider.list_hosts(self.spec.name) if state.state != "created"}
        return [host for host in self.spec.hosts if host.name in found]

    @property
    def lacks_hosts(self) -> bool:
        """Say whether a host has still to be made from an image."""
        return self.made_hosts != self.spec.hosts

    @property
    def older_hosts(self) -> list[str]:
        """The hosts that were made from another image than they would be made from today."""
        wanted = {host.name: self.images.name(host) for host in self.spec.hosts}
        return [s.name for s in self.provider.list_hosts(self.spec.name) if s.image != wanted.get(s.name)]

    def state_of(self, host: Host) -> str:
        """What the provider says of one host: missing, created, running or exited."""
        return next((s.state for s in self.provider.list_hosts(self.spec.name) if s.name == host.name), "missing")


def wanted_cloud(wish: Wish, provider: Provider) -> Cloud:
    """Say which cloud is meant: the one that there is (perhaps with more computes), or a new one.

    Raises ArbaroError when the wish cannot be met, or contradicts the cloud that there is.
    """
    found = provider.find_cloud(wish.name)
    computes = wish.computes if wish.computes is not None else (found.computes if found else 2)
    if found is None:
        underlay, pool = choose_subnets(load_settings().underlay, provider.taken_networks())
        release = load_release(wish.release or DEFAULT_RELEASE)
        return Cloud(
            CloudSpec(
                wish.name, release.name, computes, wish.network or DEFAULT_DRIVER, underlay, pool, wish.machines or 0
            ),
            provider,
            wish.script,
        )
    for option, asked, has in (
        ("release", wish.release, found.release),
        ("network", wish.network, found.network),
        ("machines", wish.machines, found.machines),
    ):
        if asked not in (None, has):
            raise ArbaroError(
                f"The cloud {wish.name} has {option} {has}, not {asked}.",
                hint=f"Choose another name, or first: arbaro down {wish.name}",
            )
    if computes < found.computes:
        raise ArbaroError(
            f"The cloud {wish.name} has {found.computes} computes; `up` only adds some.", hint=f"arbaro up {wish.name}"
        )
    return Cloud(replace(found, computes=computes), provider, wish.script)


def existing_cloud(name: str, provider: Provider) -> Cloud:
    """Find a cloud by name. Raises ArbaroError that lists those there are."""
    found = provider.find_cloud(name)
    if found is None:
        names = [spec.name for spec in provider.list_clouds()]
        raise ArbaroError(
            f"There is no cloud {name!r}.",
            why=f"There are: {', '.join(names)}." if names else "There is none yet.",
            hint=f"arbaro status {names[0]}" if names else "arbaro up",
        )
    return Cloud(found, provider)


def check_capacity(cloud: Cloud) -> None:
    """Refuse early what the provider cannot hold or this machine cannot build. Hosts that run have their share."""
    running = {state.name for state in cloud.provider.list_hosts(cloud.spec.name) if state.state == "running"}
    missing = [host for host in cloud.spec.hosts if host.name not in running]
    cloud.provider.check_capacity(cloud.spec, missing)
    if missing and not all(cloud.provider.has_image(name) for name in cloud.images.names):
        disk = IMAGES_DISK + (MACHINES_DISK if cloud.spec.machines else 0)
        this_machine.check_capacity(0, disk, this_machine.look())

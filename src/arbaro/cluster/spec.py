# SPDX-License-Identifier: Apache-2.0
"""What a personal cloud consists of: its hosts, networks and addresses. Pure, nothing is touched here."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise

from arbaro.cluster.drivers import NETWORK_DRIVERS, NetworkDriver
from arbaro.errors import ArbaroError
from arbaro.hosts import COMPUTE, CONTROLLER, MACHINES, RACK, TOR, Host
from arbaro.services import load_services

MAX_COMPUTES = 20
MAX_MACHINES = 9
#: MiB: a host without its services (a controller's grow under load), each compute with a guest; see benchmarks/.
MEMORY = {CONTROLLER: 600, COMPUTE: 700, TOR: 80, RACK: 200}
#: MiB: an emulated machine with QEMU. Estimated, not measured.
MACHINE_MEMORY = 900


@dataclass(frozen=True)
class Cable:
    """A cable between two hosts: each end as (host, interface)."""

    one: tuple[str, str]
    other: tuple[str, str]


@dataclass(frozen=True)
class CloudSpec:
    """One personal cloud.

    `underlay` (a /24) joins its hosts and this machine; `provider` (a /24) is where its VMs have their addresses.
    `network` names the neutron driver, and with it the role neutron_<network> that the computes get. `machines` is
    how many emulated physical machines there are; with none there is no host for them, and no service.
    """

    name: str
    release: str
    computes: int
    network: str
    underlay: IPv4Network
    provider: IPv4Network
    machines: int = 0

    @property
    def controller(self) -> Host:
        """The host with the databases, the queue and the APIs."""
        return Host("controller", self.underlay[10], frozenset({CONTROLLER, *([MACHINES] if self.machines else [])}))

    @property
    def driver(self) -> NetworkDriver:
        """What depends on the network driver."""
        return NETWORK_DRIVERS[self.network]

    @property
    def tors(self) -> list[Host]:
        """The switches of the fabric, if the driver has one."""
        return [Host(name, self.underlay[2 + index], frozenset({TOR})) for index, name in enumerate(self.driver.tors)]

    @property
    def rack(self) -> Host:
        """The host whose guests stand for physical machines."""
        return Host("rack", self.underlay[9], frozenset({RACK}))

    @property
    def rack_network(self) -> IPv4Network:
        """Where the machines have their addresses: the last quarter of the underlay, routed by the rack's host."""
        return list(self.underlay.subnets(prefixlen_diff=2))[-1]

    @property
    def machine_names(self) -> list[str]:
        """The emulated machines' names."""
        return [f"pm{number}" for number in range(1, self.machines + 1)]

    @property
    def hosts(self) -> list[Host]:
        """All hosts, the controller first, which is also the order in which they start."""
        computes = (self.compute(number) for number in range(1, self.computes + 1))
        return [self.controller, *self.tors, *computes, *([self.rack] if self.machines else [])]

    @property
    def cables(self) -> list[Cable]:
        """The fabric: each compute to each switch, and the switches to one another; each end is called by the other."""
        names = [tor.name for tor in self.tors]
        peers = [Cable((one, "peer"), (other, "peer")) for one, other in pairwise(names)]
        return peers + [
            Cable((tor, f"port{number}"), (self.compute(number).name, tor))
            for number in range(1, self.computes + 1)
            for tor in names
        ]

    @property
    def guest_router(self) -> IPv4Address:
        """The address on the underlay behind which the fabric's servers are; one of the switches has it."""
        return self.underlay[4]

    @property
    def addresses(self) -> dict[str, str]:
        """What is written into the hosts' configuration in place of what their images were baked with."""
        return {
            "public_address": str(self.public_address),
            "guest_pool": str(self.provider),
            "guest_router": str(self.guest_router),
            "rack_address": str(self.rack.address),
            "rack_network": str(self.rack_network),
            "rack_gateway": f"{self.rack_network[1]}/{self.rack_network.prefixlen}",
            "rack_ramdisks": f"{self.rack_network[2]},{self.rack_network[15]}",
            "rack_machines": " ".join(self.machine_names),
        }

    @property
    def public_address(self) -> IPv4Address:
        """Where this machine reaches the APIs and the console."""
        return address_of(self.controller)

    @property
    def cloud_name(self) -> str:
        """The cloud's name in clouds.yaml."""
        return f"arbaro-{self.name}"

    def compute(self, number: int) -> Host:
        """The n-th compute, counted from 1."""
        return Host(f"compute{number}", self.underlay[10 + number], frozenset({COMPUTE}))

    def provider_address(self, host: Host) -> IPv4Address:
        """A compute's own address on the provider network; VMs get addresses from .32 on."""
        return self.provider[int(address_of(host)) - int(self.underlay[10]) + 1]


def address_of(host: Host) -> IPv4Address:
    """A host's address on the underlay; each host of a cloud has one."""
    assert host.address is not None
    return host.address


def memory_for(spec: CloudSpec, hosts: Collection[Host]) -> int:
    """The MiB of memory that these hosts of the cloud need."""
    machines = spec.machines * MACHINE_MEMORY if spec.rack in hosts else 0
    return sum(map(memory_of, hosts)) + machines


def memory_of(host: Host) -> int:
    """The MiB of memory that a host needs, with the services that it has by its groups."""
    return MEMORY[host.role] + sum(service.memory for service in load_services() if host.is_a(service.group))


def check_computes(number: int) -> None:
    """Refuse a cloud that is too small or too large. Raises ArbaroError."""
    if not 1 <= number <= MAX_COMPUTES:
        raise ArbaroError(f"A cloud has 1 to {MAX_COMPUTES} computes, not {number}.", hint="arbaro up --computes 2")


def check_machines(number: int) -> None:
    """Refuse more emulated machines than a rack's host is made for. Raises ArbaroError."""
    if not 0 <= number <= MAX_MACHINES:
        raise ArbaroError(f"A cloud has 0 to {MAX_MACHINES} machines, not {number}.", hint="arbaro up --machines 2")


def choose_subnets(pool: IPv4Network, taken: Iterable[IPv4Network]) -> tuple[IPv4Network, IPv4Network]:
    """Take the first free pair of neighbouring /24 for (underlay, provider) out of `pool`, an IPv4Network.

    `taken` are the networks that this machine routes or has given to containers; a default route is none of them.
    """
    used = list(taken)
    for pair in pool.subnets(new_prefix=23):
        if not any(pair.overlaps(network) for network in used):
            underlay, provider = pair.subnets(new_prefix=24)
            return underlay, provider
    raise ArbaroError(
        f"No free network is left in {pool}.",
        why=f"In use on this machine: {', '.join(str(network) for network in used)}.",
        hint="Choose another range: set `underlay` in settings.toml (docs/reference/settings.md).",
    )

# SPDX-License-Identifier: Apache-2.0
"""The scene of a drill: the host, the server and the switch that are drawn, and all that its shell lines are told."""

import random
import sys
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arbaro.drills.catalogue import Drill, Group, Need, needs_of
from arbaro.errors import ArbaroError
from arbaro.hosts import COMPUTE, CONTROLLER
from arbaro.openstack import cloud_errors

if TYPE_CHECKING:
    from arbaro.cluster.cloud import Cloud

#: Names of values → values. They are exported to the shell lines; the state keeps them.
Variables = dict[str, str]
#: Where a host keeps what was there before. Not in /run: it must be there after the host was switched off and on.
KEEP = "/var/lib/arbaro-drill"
#: Where a group's host is found among the variables.
HOST_OF: Mapping[Group, str] = {
    "compute": "COMPUTE",
    "other-compute": "OTHER",
    "controller": "CONTROLLER",
    "tor": "TOR",
    "here": "HERE",
}


@dataclass(frozen=True)
class Server:
    """A server that a drill may be about."""

    name: str
    id: str
    host: str
    port: str
    address: str


@dataclass(frozen=True)
class Draw:
    """What was drawn; `server` is on `compute`. The empty string: there is none."""

    compute: str
    other: str
    tor: str
    server: Server | None


def draw(
    seed: int, needs: Collection[Need], computes: Sequence[str], tors: Sequence[str], servers: Collection[Server]
) -> Draw:
    """Draw host, server and switch. The same seed draws the same ones in the same cloud.

    Raises ArbaroError when the cloud lacks what the drill needs.
    """
    luck = random.Random(seed)
    found = sorted(servers, key=lambda server: server.name)
    server = luck.choice(found) if found else None
    if "server" in needs and server is None:
        raise ArbaroError(
            "This drill needs a server that runs.",
            why="There is none of the image `tiny` in the project admin.",
            hint="arbaro up makes first-vm again.",
        )
    if "two-computes" in needs and len(computes) < 2:
        raise ArbaroError("This drill needs two computes.", hint="arbaro up --computes 2")
    drawn = luck.choice(computes)
    compute = server.host if server else drawn
    others = [name for name in computes if name != compute]
    return Draw(compute, luck.choice(others) if others else "", luck.choice(tors) if tors else "", server)


def set_scene(cloud: "Cloud", drill: Drill, seed: int) -> Variables:
    """Draw, and ask the real cloud for all that the shell lines of a drill are told."""
    with cloud_errors(f"arbaro status {cloud.spec.name}"):
        computes = [host.name for host in cloud.spec.hosts if host.is_a(COMPUTE)]
        tors = [tor.name for tor in cloud.spec.tors]
        drawn = draw(seed, needs_of(drill), computes, tors, servers_of(cloud, computes))
        return variables(cloud, seed, drawn, _of_openstack(cloud))


def variables(cloud: "Cloud", seed: int, drawn: Draw, asked: Mapping[str, str]) -> Variables:
    """Name all values. Those of this machine are here too: a line that runs here uses the client."""
    spec, server = cloud.spec, drawn.server
    return {
        **asked,
        "CLOUD": spec.name,
        "OS_CLOUD": spec.cloud_name,
        "PYTHON": sys.executable,
        "BIN": str(Path(sys.executable).parent),
        "SEED": str(seed),
        "CONSUMER": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{spec.name}/{seed}")),
        "HERE": "",
        "CONTROLLER": CONTROLLER,
        "COMPUTE": drawn.compute,
        "OTHER": drawn.other,
        "TOR": drawn.tor,
        "COMPUTES": " ".join(host.name for host in spec.hosts if host.is_a(COMPUTE)),
        "POOL": str(spec.provider),
        "ROUTER": str(spec.guest_router),
        # Nobody has this address of the underlay.
        "NOBODY": str(spec.underlay[5]),
        "VM": server.name if server else "",
        "UUID": server.id if server else "",
        "PORT": server.port if server else "",
        "TAP": f"tap{server.port[:11]}" if server else "",
        "A": server.address if server else "",
    }


def for_group(values: Mapping[str, str], group: Group, directory: Path) -> Variables:
    """The variables as lines of one group see them: HOST is where they run, KEEP where they keep what was there."""
    host = values[HOST_OF[group]]
    return {**values, "HOST": host, "KEEP": str(directory) if group == "here" else KEEP}


def servers_of(cloud: "Cloud", computes: Collection[str]) -> list[Server]:
    """The servers of the project admin that run the guest image `tiny` on these hosts, with one address each."""
    connection, image = cloud.ground.connection, cloud.ground.image_id()
    running = [s for s in connection.compute.servers(status="ACTIVE") if (s.image or {}).get("id") == image]
    return [
        server
        for one in running
        if one.compute_host in computes and (server := _with_port(one, connection.network.ports(device_id=one.id)))
    ]


def _with_port(found: Any, ports: Any) -> Server | None:
    addresses = [(port.id, ip["ip_address"]) for port in ports for ip in port.fixed_ips if ":" not in ip["ip_address"]]
    if len(addresses) != 1:
        return None
    ((port, address),) = addresses
    return Server(found.name, found.id, found.compute_host, port, address)


def _of_openstack(cloud: "Cloud") -> Variables:
    ground = cloud.ground
    default = ground.own(ground.connection.network.security_groups, "default")
    return {
        "IMAGE": ground.image_id(),
        "NET": ground.network_id(),
        "GROUP": ground.security_group_id(),
        "DEFAULT_GROUP": str(default.id) if default else "",
        "PROJECT": str(ground.connection.current_project_id),
    }

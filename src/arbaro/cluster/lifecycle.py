# SPDX-License-Identifier: Apache-2.0
"""A cloud's life, in the order in which it happens: up, stop, start, down."""

import contextlib

from arbaro.cluster import access, identity
from arbaro.cluster.cloud import Cloud
from arbaro.cluster.images import clean_after_builds
from arbaro.cluster.names import name_hosts
from arbaro.cluster.providers import Provider
from arbaro.cluster.waits import in_cloud, wait_for_controller, wait_for_services
from arbaro.errors import ArbaroError
from arbaro.hosts import COMPUTE, RACK, Host, hosts_file
from arbaro.steps import Note, Plan, Step


def lay_ground(cloud: Cloud) -> Plan:
    """Images and networks: what two clouds that start at once would quarrel about, so only one does it at a time."""
    spec, guest = cloud.spec, cloud.ground.guest
    return [
        *(cloud.images.steps(cloud.provider, guest.built.step()) if cloud.lacks_hosts else [guest.built.step()]),
        *([cloud.rack.disk.step()] if spec.machines else []),
        clean_after_builds(),
        *(cloud.provider.publication(cloud.images.names) if cloud.lacks_hosts else []),
        *cloud.provider.ground(spec),
    ]


def up(cloud: Cloud) -> Plan:
    """From images to a server that ran the person's script. This is the recipe."""
    spec, ground, server = cloud.spec, cloud.ground, cloud.first_server
    return [
        Step("Draw secrets and keys", lambda: not _is_prepared(cloud), lambda _: _prepare(cloud)),
        Step(
            "Write clouds.yaml and openrc",
            lambda: not access.is_written(spec, cloud.keeper),
            lambda _: access.write_access(spec, cloud.keeper),
        ),
        [_start_host(cloud, host) for host in (spec.controller, *spec.tors)],
        wait_for_controller(cloud),
        [_start_host(cloud, host) for host in _workers(cloud)],
        *cloud.provider.junction(cloud.spec),
        [
            wait_for_services(cloud),
            name_hosts(cloud),
            in_cloud(cloud, Step("Upload the guest image", ground.image_is_missing, ground.upload_image, 3)),
            in_cloud(cloud, Step("Make flavor, network, keypair", ground.is_incomplete, ground.prepare, 4)),
        ],
        in_cloud(cloud, Step("Create a server with your script", server.server_is_missing, server.create_server, 12)),
        in_cloud(cloud, Step("Reach it by ping and SSH", server.is_unreached, server.reach, 8)),
        *(_bring_machines(cloud) if spec.machines else []),
    ]


def stop(cloud: Cloud) -> Plan:
    """Switch the hosts off in order, the computes first; disks and databases stay."""
    others = [cloud.spec.controller, *cloud.spec.tors]
    return [[_stop_host(cloud, host) for host in _workers(cloud)], [_stop_host(cloud, host) for host in others]]


def start(cloud: Cloud) -> Plan:
    """Switch the hosts on again; nova brings back the servers that were running.

    Raises ArbaroError when some have still to be made.
    """
    if cloud.lacks_hosts:
        name = cloud.spec.name
        raise ArbaroError(f"The cloud {name} is not whole: hosts have still to be made.", hint=f"arbaro up {name}")
    return [
        *cloud.provider.preparation(),
        *cloud.provider.ground(cloud.spec),
        [_start_host(cloud, host) for host in (cloud.spec.controller, *cloud.spec.tors)],
        wait_for_controller(cloud),
        [_start_host(cloud, host) for host in _workers(cloud)],
        *cloud.provider.junction(cloud.spec),
        wait_for_services(cloud),
    ]


def down(name: str, provider: Provider) -> Plan:
    """Take everything of this cloud away, whatever state it is in."""
    keeper = identity.Keeper(name)
    return [
        Step("Remove hosts and networks", lambda: provider.has_parts(name), lambda _: provider.delete_cloud(name), 5),
        Step(
            "Forget clouds.yaml entry, secrets and keys",
            lambda: keeper.directory.exists() or access.is_mentioned(f"arbaro-{name}"),
            lambda _: _forget(keeper),
        ),
    ]


def _workers(cloud: Cloud) -> list[Host]:
    """The hosts that run what people ask for: they start when the controller is there, and stop before it."""
    return [host for host in cloud.spec.hosts if host.is_a(COMPUTE) or host.is_a(RACK)]


def _bring_machines(cloud: Cloud) -> Plan:
    rack = cloud.rack
    return [
        in_cloud(cloud, Step("Make flavor, network, image for machines", rack.is_incomplete, rack.prepare, 4)),
        in_cloud(
            cloud,
            Step("Enrol the machines", rack.lacks_machines, rack.enrol, 45 * cloud.spec.machines),
        ),
    ]


def _start_host(cloud: Cloud, host: Host) -> Step:
    def apply(_: Note) -> None:
        # A container that was never started may lack its files: a run was killed between the two.
        if cloud.state_of(host) in ("missing", "created"):
            files = {
                "/etc/hosts": (0o644, hosts_file(cloud.spec.hosts).encode()),
                **cloud.keeper.host_keys(host),
                **cloud.keeper.host_secrets(host),
            }
            cloud.provider.create_host(cloud.spec, host, cloud.images.name(host), files)
        cloud.provider.start_host(cloud.spec.name, host.name)

    return Step("Start", lambda: cloud.state_of(host) != "running", apply, 2, host)


def _stop_host(cloud: Cloud, host: Host) -> Step:
    return Step(
        "Stop",
        lambda: cloud.state_of(host) == "running",
        lambda _: cloud.provider.stop_host(cloud.spec.name, host.name),
        8,
        host,
    )


def _is_prepared(cloud: Cloud) -> bool:
    known = cloud.keeper.known_hosts
    pinned = [line.split()[0] for line in known.read_text().splitlines()] if known.exists() else []
    return pinned == [str(host.address) for host in cloud.spec.hosts]


def _prepare(cloud: Cloud) -> None:
    if cloud.made_hosts:
        # New secrets would open none of them: without the old ones there is no way in.
        cloud.keeper.identity()
    cloud.keeper.prepare(cloud.spec.addresses, cloud.spec.hosts)


def _forget(keeper: identity.Keeper) -> None:
    access.forget_access(f"arbaro-{keeper.name}")
    keeper.forget()
    with contextlib.suppress(OSError):
        keeper.directory.parent.rmdir()
        keeper.directory.parent.parent.rmdir()

# SPDX-License-Identifier: Apache-2.0
"""A cloud's life, in the order in which it happens: up, stop, start, down."""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from arbaro import shell
from arbaro.checks import Finding, wait_until_silent
from arbaro.cluster import access, identity, machine, playbooks, status
from arbaro.cluster.guests import Guest
from arbaro.cluster.images import HostImages, clean_after_builds, exists
from arbaro.cluster.proof import Proof
from arbaro.cluster.providers import Provider
from arbaro.cluster.spec import MAX_COMPUTES, CloudSpec, choose_subnets
from arbaro.errors import ArbaroError
from arbaro.hosts import COMPUTE, CONTROLLER, Host
from arbaro.releases import load_release
from arbaro.settings import load_settings
from arbaro.steps import Note, Step

Plan = list[Step | list[Step]]

#: MiB: a controller, and each compute with a guest; measured, see benchmarks/.
CONTROLLER_MEMORY, COMPUTE_MEMORY = 2200, 700
#: MiB that images and one cloud take on the disk.
DISK = 14000


@dataclass(frozen=True)
class Wish:
    """What was asked for on the command line; None means: as it is, or else the default."""

    name: str
    release: str | None = None
    computes: int | None = None
    network: str | None = None
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
        return HostImages(load_release(self.spec.release), self.spec.network, machine.look_at_machine())

    @cached_property
    def proof(self) -> Proof:
        """Its first server."""
        return Proof(self.spec, self.keeper, Guest("tiny"), self.script)

    @property
    def inventory(self) -> dict[str, Any]:
        """Its Ansible inventory."""
        variables = playbooks.machine_variables(self.spec.release, self.spec.network, machine.look_at_machine())
        return playbooks.inventory(self.spec.hosts, str(self.spec.public_address), variables, self.keeper)

    @property
    def grows(self) -> bool:
        """Say whether hosts join others that were there before."""
        return self.lacks_hosts and any(self.state_of(host) == "running" for host in self.spec.hosts)

    @property
    def lacks_hosts(self) -> bool:
        """Say whether a host has still to be made from an image."""
        return any(self.state_of(host) in ("missing", "created") for host in self.spec.hosts)

    def state_of(self, host: Host) -> str:
        """What the provider says of one host: missing, created, running or exited."""
        return next((s.state for s in self.provider.list_hosts(self.spec.name) if s.name == host.name), "missing")


def prepare_machine() -> Plan:
    """What this machine needs before anything else; the packages are named before they are installed."""
    return [
        Step("Install Debian packages", lambda: bool(machine.missing_packages()), machine.install_packages, 25),
        Step("Mend the cgroup tree for system containers", machine.cgroups_need_mending, machine.mend_cgroups),
    ]


def lay_ground(cloud: Cloud) -> Plan:
    """Images and networks: what two clouds that start at once would quarrel about, so only one does it at a time."""
    spec = cloud.spec
    return [
        *(cloud.images.steps(cloud.proof.guest.step()) if cloud.lacks_hosts else [cloud.proof.guest.step()]),
        clean_after_builds(),
        Step(
            "Make the networks",
            lambda: cloud.provider.find_cloud(spec.name) is None,
            lambda _: cloud.provider.create_networks(spec),
        ),
    ]


def up(cloud: Cloud) -> Plan:
    """From images to a server that ran the person's script. This is the recipe."""
    spec, proof = cloud.spec, cloud.proof
    computes = [host for host in spec.hosts if host.is_a(COMPUTE)]
    return [
        Step("Draw secrets and keys", lambda: not _is_prepared(cloud), lambda _: _prepare(cloud)),
        Step(
            "Write clouds.yaml and openrc",
            lambda: not access.is_written(spec, cloud.keeper),
            lambda _: access.write_access(spec, cloud.keeper),
        ),
        _write_rules(cloud),
        _start_host(cloud, spec.controller),
        _wait_for_controller(cloud),
        [_start_host(cloud, host) for host in computes],
        *([_name_hosts(cloud)] if cloud.grows else []),
        [
            _wait_for_services(cloud),
            _in_cloud(cloud, Step("Upload the guest image", proof.image_is_missing, proof.upload_image, 3)),
            _in_cloud(cloud, Step("Make flavour, network, keypair", proof.ground_is_missing, proof.prepare_ground, 4)),
        ],
        _in_cloud(cloud, Step("Create a server with your script", proof.server_is_missing, proof.create_server, 12)),
        _in_cloud(cloud, Step("Reach it by ping and SSH", proof.is_unreached, proof.reach, 8)),
    ]


def stop(cloud: Cloud) -> Plan:
    """Switch the hosts off in order, the computes first; disks and databases stay."""
    computes = [host for host in cloud.spec.hosts if host.is_a(COMPUTE)]
    return [[_stop_host(cloud, host) for host in computes], _stop_host(cloud, cloud.spec.controller)]


def start(cloud: Cloud) -> Plan:
    """Switch the hosts on again; nova brings back the servers that were running."""
    computes = [host for host in cloud.spec.hosts if host.is_a(COMPUTE)]
    return [
        *prepare_machine(),
        _write_rules(cloud),
        _start_host(cloud, cloud.spec.controller),
        _wait_for_controller(cloud),
        [_start_host(cloud, host) for host in computes],
        _wait_for_services(cloud),
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


def wanted_cloud(wish: Wish, provider: Provider) -> Cloud:
    """Say which cloud is meant: the one that there is (perhaps with more computes), or a new one.

    Raises ArbaroError when the wish cannot be met, or contradicts the cloud that there is.
    """
    found = provider.find_cloud(wish.name)
    computes = wish.computes if wish.computes is not None else (found.computes if found else 2)
    if not 1 <= computes <= MAX_COMPUTES:
        raise ArbaroError(f"A cloud has 1 to {MAX_COMPUTES} computes, not {computes}.", hint="arbaro up --computes 2")
    if found is None:
        underlay, pool = choose_subnets(load_settings().underlay, provider.taken_networks())
        release = load_release(wish.release or "zed")
        return Cloud(
            CloudSpec(wish.name, release.name, computes, wish.network or "linuxbridge", underlay, pool),
            provider,
            wish.script,
        )
    for option, asked, has in (("release", wish.release, found.release), ("network", wish.network, found.network)):
        if asked not in (None, has):
            raise ArbaroError(
                f"The cloud {wish.name} has {option} {has}, not {asked}.",
                hint=f"Choose another name, or first: arbaro down {wish.name}",
            )
    if computes < found.computes:
        raise ArbaroError(
            f"The cloud {wish.name} has {found.computes} computes; `up` only adds some.", hint=f"arbaro up {wish.name}"
        )
    spec = CloudSpec(found.name, found.release, computes, found.network, found.underlay, found.provider)
    return Cloud(spec, provider, wish.script)


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


def check_room(cloud: Cloud) -> None:
    """Refuse early what this machine cannot hold; hosts that run already have their room."""
    running = {state.name for state in cloud.provider.list_hosts(cloud.spec.name) if state.state == "running"}
    missing = [host for host in cloud.spec.hosts if host.name not in running]
    needed = sum(COMPUTE_MEMORY if host.is_a(COMPUTE) else CONTROLLER_MEMORY for host in missing)
    built = all(exists(cloud.images.name(role)) for role in (COMPUTE, CONTROLLER))
    machine.check_room(needed, DISK if missing and not built else 1000, machine.look_at_machine())


@contextlib.contextmanager
def only_one(name: str, *, wait: bool = False, last: bool = False) -> Iterator[None]:
    """Let nobody else change this meanwhile; the `last` one takes the lock's file away.

    Raises ArbaroError when somebody does already, unless we are to `wait` for them.
    """
    path = Path(f"/run/lock/arbaro-{name}")
    handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
        if last:
            path.unlink(missing_ok=True)
    except BlockingIOError as error:
        raise ArbaroError(
            f"Another arbaro is working on {name} right now.", hint="Wait for it to end, then run the same command."
        ) from error
    finally:
        os.close(handle)


def _write_rules(cloud: Cloud) -> Step:
    return Step(
        "Write this machine's packet rules for them",
        lambda: cloud.provider.rules_are_missing(cloud.spec),
        lambda _: cloud.provider.write_rules(cloud.spec),
    )


def _start_host(cloud: Cloud, host: Host) -> Step:
    def apply(_: Note) -> None:
        # A container that was never started may lack its files: a run was killed between the two.
        if cloud.state_of(host) in ("missing", "created"):
            role = COMPUTE if host.is_a(COMPUTE) else "controller"
            files = {
                "/etc/hosts": (0o644, playbooks.host_entries(cloud.spec.hosts)),
                **cloud.keeper.host_keys(host),
                **cloud.keeper.host_secrets(host),
            }
            cloud.provider.create_host(cloud.spec, host, cloud.images.name(role), files)
        cloud.provider.start_host(cloud.spec.name, host.name)

    return Step(f"Start {host.name}", lambda: cloud.state_of(host) != "running", apply, 2)


def _stop_host(cloud: Cloud, host: Host) -> Step:
    return Step(
        f"Stop {host.name}",
        lambda: cloud.state_of(host) == "running",
        lambda _: cloud.provider.stop_host(cloud.spec.name, host.name),
        8,
    )


def _wait_for_controller(cloud: Cloud) -> Step:
    """Wait until the APIs answer and every unit is ready: a compute that finds no conductor tries again much later."""
    spec = cloud.spec

    def look() -> list[Finding]:
        apis = {name: status.api_state(spec, port) for name, port in status.APIS.items()}
        if found := list(status.api_does_not_answer(status.Evidence(spec.name, (), (), apis=apis))):
            return found
        units = status.units_of(spec, cloud.keeper, spec.controller)
        return list(status.unit_is_down(status.Evidence(spec.name, (), (), units=units)))

    return _wait("Wait for the APIs", cloud, look, 30)


def _wait_for_services(cloud: Cloud) -> Step:
    spec = cloud.spec

    def look() -> list[Finding]:
        hosts = status.Evidence(spec.name, cloud.provider.list_hosts(spec.name), [host.name for host in spec.hosts])
        if found := list(status.host_is_down(hosts)):
            return found
        try:
            reports = status.heartbeats(spec, cloud.keeper)
        except ArbaroError as error:
            return [Finding("OpenStack", error.why)]
        evidence = status.Evidence(spec.name, (), (), services=reports, wanted_services=status.wanted_services(spec))
        return list(status.service_does_not_report(evidence))

    return _in_cloud(cloud, _wait("Wait for all services and agents", cloud, look, 25))


def _wait(title: str, cloud: Cloud, look: Callable[[], list[Finding]], expected: float) -> Step:
    def apply(note: Note) -> None:
        hint = f"arbaro status {cloud.spec.name}"
        wait_until_silent(look, what=f"{title!r}", timeout=300, note=note, hint=hint)

    return Step(title, lambda: bool(look()), apply, expected)


def _in_cloud(cloud: Cloud, step: Step) -> Step:
    """The same step, looked at only if there is a cloud to ask; without one it is needed."""
    return replace(step, needed=lambda: not status.is_reachable(cloud.spec, cloud.keeper) or step.needed())


def _name_hosts(cloud: Cloud) -> Step:
    """Hosts that were there before new ones came learn their names."""
    wanted = playbooks.host_entries(cloud.spec.hosts).decode()

    def strangers() -> list[Host]:
        found = {host: shell.run_on(host, cloud.keeper.ssh(host), ["cat", "/etc/hosts"]) for host in cloud.spec.hosts}
        return [host for host, text in found.items() if text != wanted]

    def apply(_: Note) -> None:
        for host in strangers():
            shell.run_on(host, cloud.keeper.ssh(host), ["tee", "/etc/hosts"], stdin=wanted)

    return Step("Tell all hosts each other's names", lambda: bool(strangers()), apply)


def _is_prepared(cloud: Cloud) -> bool:
    known = cloud.keeper.known_hosts
    return known.exists() and len(known.read_text().splitlines()) == len(cloud.spec.hosts)


def _prepare(cloud: Cloud) -> None:
    cloud.keeper.prepare(cloud.spec.public_address, cloud.spec.hosts)


def _forget(keeper: identity.Keeper) -> None:
    access.forget_access(f"arbaro-{keeper.name}")
    keeper.forget()
    with contextlib.suppress(OSError):
        keeper.directory.parent.rmdir()
        keeper.directory.parent.parent.rmdir()

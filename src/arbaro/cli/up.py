# SPDX-License-Identifier: Apache-2.0
"""The command `arbaro up`, and what it says at its end: what the first server printed, times, what to type next."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from arbaro.cli.options import (
    DRY_RUN,
    NAME,
    VERBOSE,
    announce_packages,
    only_one_for_images,
    provider,
    reached_directly,
    run,
)
from arbaro.errors import EXIT_OK, ArbaroError

if TYPE_CHECKING:
    from arbaro.cluster.cloud import Cloud, Wish
    from arbaro.steps import Outcome


@click.command()
@NAME
@click.option("--release", metavar="NAME", help="OpenStack release.  [default: zed]")
@click.option("--computes", type=int, metavar="N", help="Hosts that run servers.  [default: 2]")
@click.option("--machines", type=int, metavar="N", help="Emulated physical machines.  [default: 0]")
@click.option("--network", metavar="DRIVER", help="Network driver.  [default: l2isolate]")
@click.option(
    "--user-data",
    "script",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Your script for the first server.",
)
@DRY_RUN
@VERBOSE
def up(dry_run: bool, verbose: bool, **wishes: Any) -> int:
    """Make or start a cloud, and prove that it works.

    \b
    arbaro up
    arbaro up lab --computes 3 --user-data hello.sh
    """
    from arbaro import output
    from arbaro.cluster import lifecycle
    from arbaro.cluster.cloud import Wish, check_capacity, wanted_cloud
    from arbaro.locks import only_one
    from arbaro.openstack import cloud_errors

    podman = provider()
    # All other options are fields of a wish, by the same names.
    wish = Wish(**wishes)
    _check_wish(wish)
    lacks_packages = announce_packages()
    began = time.monotonic()
    if dry_run and lacks_packages:
        output.say("The rest of the plan can be looked at when these packages are installed.")
        return EXIT_OK
    with only_one(wish.name, last=dry_run):
        outcomes = run(wish.name, "prepare", podman.preparation, verbose=verbose, dry_run=dry_run)
        with only_one_for_images():
            cloud = reached_directly(wanted_cloud(wish, podman))
            output.say(_describe(cloud))
            if older := cloud.older_hosts:
                output.warn(f"Made from an older image, and kept: {', '.join(older)}. To have the newer one:")
                output.warn(f"  arbaro down {wish.name}; arbaro up {wish.name}")
            check_capacity(cloud)
            outcomes += run(wish.name, "ground", lambda: lifecycle.lay_ground(cloud), verbose=verbose, dry_run=dry_run)
        outcomes += run(wish.name, "up", lambda: lifecycle.up(cloud), verbose=verbose, dry_run=dry_run)
        if not dry_run:
            with cloud_errors(f"arbaro status {wish.name}"):
                _say_what_the_script_printed(cloud)
                _say_times(outcomes, time.monotonic() - began)
                _say_next(cloud)
    return EXIT_OK


def _check_wish(wish: "Wish") -> None:
    """Refuse what no cloud can have, before anything is touched. Raises ArbaroError."""
    from arbaro.cluster.drivers import NETWORK_DRIVERS
    from arbaro.cluster.spec import check_computes, check_machines
    from arbaro.releases import DEFAULT_RELEASE, load_release
    from arbaro.settings import check_name, load_settings

    if wish.network not in (None, *NETWORK_DRIVERS):
        raise ArbaroError(f"There is no network driver {wish.network!r}.", why=f"Known: {', '.join(NETWORK_DRIVERS)}.")
    release = load_release(wish.release or DEFAULT_RELEASE)
    if wish.network:
        release.driver(wish.network)
    if wish.computes is not None:
        check_computes(wish.computes)
    if wish.machines is not None:
        check_machines(wish.machines)
    check_name(wish.name)
    load_settings()


def _describe(cloud: "Cloud") -> str:
    spec, hosts = cloud.spec, cloud.provider.host_kind()
    kind = "KVM" if hosts.virt_type == "kvm" else "QEMU without KVM"
    return (
        f"Cloud {spec.name}: OpenStack {spec.release.capitalize()}, 1 controller and "
        f"{spec.computes} compute{'s' if spec.computes > 1 else ''} on {spec.underlay}, "
        + (f"{spec.machines} emulated physical machine{'s' if spec.machines > 1 else ''}, " if spec.machines else "")
        + f"guests by {kind} ({hosts.virt_reason})."
    )


def _say_what_the_script_printed(cloud: "Cloud") -> None:
    from arbaro import output
    from arbaro.cluster.first_server import SERVER

    output.say(f"\nThe script in your first server printed:\n{cloud.first_server.output().rstrip()}\n")
    if cloud.first_server.has_another_script():
        output.warn(f"Your script was not run: {SERVER} was there before. Delete it, then run the same command:")
        output.warn(f"  {cloud.first_server.client()} server delete {SERVER}")


def _say_times(outcomes: "list[Outcome]", total: float) -> None:
    from arbaro import output

    long = [f"{outcome.step} {output.seconds(outcome.seconds)}" for outcome in outcomes if outcome.seconds >= 1]
    output.say(f"Times: {', '.join(long)}")
    output.say(f"In all {output.seconds(total)}.\n")


def _say_next(cloud: "Cloud") -> None:
    from arbaro import output
    from arbaro.cluster import access
    from arbaro.cluster.first_server import SERVER

    output.say("What to type next:")
    output.say(f"  {cloud.first_server.client()} server list")
    output.say(f"  {cloud.first_server.ssh_line()}")
    if cloud.spec.machines:
        from arbaro.cluster.rack import FLAVOR, IMAGE, NETWORK

        asked = f"--image {IMAGE} --flavor {FLAVOR} --network {NETWORK} --user-data SCRIPT testpm"
        output.say(f"  {cloud.first_server.client()} server create {asked}")
        output.say(f"  {cloud.first_server.client()} machine list")
    output.say(
        f"  . {access.openrc_file(cloud.keeper)}          # the same cloud for tools that know only the environment"
    )
    output.say(
        f"  arbaro status {cloud.spec.name}; arbaro ssh {cloud.spec.name} controller; arbaro down {cloud.spec.name}"
    )
    output.say(f"Console of {SERVER} (for ten minutes): {cloud.first_server.console_url()}")

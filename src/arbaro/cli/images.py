# SPDX-License-Identifier: Apache-2.0
"""The commands that look after images: images ls, images build, images prune."""

import click

from arbaro.cli.options import DRY_RUN, JSON, VERBOSE, announce_packages, only_one_for_images, provider, run
from arbaro.errors import EXIT_OK


@click.group()
def images() -> None:
    """The images that hosts and guests start from."""


@images.command("ls")
@JSON
def images_list(as_json: bool) -> int:
    """List host images and guest images."""
    from arbaro import output
    from arbaro.cluster import baking, guests

    provider()
    hosts, built = baking.list_images(), guests.list_guests()
    if as_json:
        output.print_json({"hosts": hosts, "guests": built})
    else:
        output.print_table(hosts)
        output.say()
        output.print_table(built)
    return EXIT_OK


@images.command("build")
@click.argument("names", nargs=-1)
@click.option("--release", metavar="NAME", help="OpenStack release.  [default: zed]")
@VERBOSE
def images_build(names: tuple[str, ...], release: str | None, verbose: bool) -> int:
    """Build the images that are missing.

    NAME is hosts, machines, tiny or debian-12; without a name, hosts and tiny are built.

    `machines` is what clouds with physical machines need: all hosts, the ramdisk, and the guest tiny on a disk.

    \b
    arbaro images build
    arbaro images build machines
    arbaro images build debian-12
    """
    from arbaro.cluster import guests, machine_parts
    from arbaro.cluster.drivers import DEFAULT_DRIVER
    from arbaro.cluster.images import HostImages, clean_after_builds
    from arbaro.releases import DEFAULT_RELEASE, load_release
    from arbaro.steps import Step

    podman = provider()
    wanted = {*names} | ({"tiny"} if "machines" in names else set()) or {"hosts", "tiny"}
    recipes = [guests.guest(name) for name in wanted if name not in ("hosts", "machines")]
    chosen = load_release(release or DEFAULT_RELEASE)
    announce_packages()
    with only_one_for_images():
        run("images", "prepare", podman.preparation, verbose=verbose)
        guest_steps = [recipe.built.step() for recipe in recipes]
        plan: list[Step | list[Step]] = [*guest_steps]
        if {"hosts", "machines"} & wanted:
            images = HostImages(chosen, DEFAULT_DRIVER, podman.host_kind(), machines="machines" in wanted)
            plan = images.steps(podman, *guest_steps)
        if "machines" in wanted:
            plan += [machine_parts.disk(guests.guest("tiny")).step()]
        plan.append(clean_after_builds())
        run("images", "build", lambda: plan, verbose=verbose)
    return EXIT_OK


@images.command("prune")
@DRY_RUN
def images_prune(dry_run: bool) -> int:
    """Remove images that neither a cloud nor the next `up` uses."""
    from arbaro import output
    from arbaro.cluster import baking
    from arbaro.cluster.agents import agents_dir
    from arbaro.cluster.built import prune_built
    from arbaro.cluster.guests import EXTRA_PACKAGES, Guest, guests_dir
    from arbaro.cluster.images import HostImages
    from arbaro.cluster.machine_parts import disk, parts_dir
    from arbaro.releases import list_releases, load_release

    podman = provider()
    with only_one_for_images():
        kind = podman.host_kind()
        current = [
            HostImages(release, driver, kind, machines=True)
            for release in map(load_release, list_releases())
            for driver in release.drivers
        ]
        hosts = [name for one in current for name in (one.base, *one.names)]
        agents = [built.path for one in current for built in one.agents.values()]
        guests = [Guest(name).directory for name in EXTRA_PACKAGES]
        parts = [part.path for one in current for part in one.parts.values()] + [disk(Guest("tiny")).path]
        removed = baking.prune_images(hosts, dry_run=dry_run)
        for directory, keep in ((guests_dir(), guests), (agents_dir(), agents), (parts_dir(), parts)):
            removed += prune_built(directory, keep, dry_run=dry_run)
    verb = "Would remove" if dry_run else "Removed"
    output.say("\n".join(f"{verb} {name}" for name in removed) or "Nothing to remove.")
    return EXIT_OK

# SPDX-License-Identifier: Apache-2.0
"""The commands that switch a cloud off and on, and take it away: stop, start, down."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from arbaro.cli.options import DRY_RUN, NAME, VERBOSE, find_cloud, provider, run
from arbaro.errors import EXIT_OK

if TYPE_CHECKING:
    from arbaro.cluster.cloud import Cloud
    from arbaro.steps import Plan


@click.command()
@NAME
@VERBOSE
def stop(name: str, verbose: bool) -> int:
    """Switch a cloud's hosts off. What is on their disks stays."""
    from arbaro.cluster import lifecycle

    return _switch(name, "stop", lifecycle.stop, verbose=verbose)


@click.command()
@NAME
@VERBOSE
def start(name: str, verbose: bool) -> int:
    """Switch a cloud on again, its servers too. It works also after this machine was restarted."""
    from arbaro.cluster import lifecycle

    return _switch(name, "start", lifecycle.start, verbose=verbose)


@click.command()
@NAME
@DRY_RUN
@VERBOSE
def down(name: str, dry_run: bool, verbose: bool) -> int:
    """Take a cloud away with all its servers and data. Images and logs stay.

    \b
    arbaro down --dry-run
    arbaro down lab
    """
    from arbaro import output
    from arbaro.cluster import lifecycle
    from arbaro.locks import only_one
    from arbaro.settings import check_name

    podman = provider()
    check_name(name)
    with only_one(name, last=True):
        outcomes = run(name, "down", lambda: lifecycle.down(name, podman), verbose=verbose, dry_run=dry_run)
    if not dry_run:
        done = (
            f"The cloud {name} is gone; the images stay"
            if any(outcome.done for outcome in outcomes)
            else f"There was nothing of a cloud {name}"
        )
        output.say(f"{done} (arbaro images ls).")
    return EXIT_OK


def _switch(name: str, verb: str, plan: "Callable[[Cloud], Plan]", *, verbose: bool) -> int:
    """Run a plan on a cloud that there is, while nobody else changes it."""
    from arbaro.locks import only_one

    # A name that is no cloud's leaves no lock file behind.
    find_cloud(name)
    with only_one(name):
        # Read again: until we had the lock, another run may have added hosts.
        cloud = find_cloud(name)
        run(name, verb, lambda: plan(cloud), verbose=verbose)
    return EXIT_OK

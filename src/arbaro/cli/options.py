# SPDX-License-Identifier: Apache-2.0
"""What the commands share: options, the cloud or host that a name means, and running a plan."""

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import click

from arbaro.errors import EXIT_FAILURE, ArbaroError

if TYPE_CHECKING:
    from arbaro.cluster.cloud import Cloud
    from arbaro.cluster.providers import Provider
    from arbaro.hosts import Host
    from arbaro.steps import Outcome, Plan


def complete_clouds(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The names of clouds that begin like this, for the shell; where nothing can be looked at, none."""
    try:
        return [spec.name for spec in provider().list_clouds() if spec.name.startswith(incomplete)]
    except ArbaroError:
        return []


def complete_hosts(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The names of hosts of the cloud that was typed before."""
    try:
        cloud = provider().find_cloud(context.params["name"])
    except ArbaroError:
        return []
    return [host.name for host in cloud.hosts if host.name.startswith(incomplete)] if cloud else []


NAME = click.argument("name", default="default", envvar="ARBARO_CLOUD", shell_complete=complete_clouds)
VERBOSE = click.option("-v", "--verbose", is_flag=True, help="Show all that is logged.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON for other programs.")
DRY_RUN = click.option("-n", "--dry-run", is_flag=True, help="Say what would be done, and do nothing.")


def provider() -> "Provider":
    """The provider of hosts. Raises ArbaroError without root, which it needs."""
    from arbaro.cluster.providers.podman import Podman
    from arbaro.settings import require_root

    require_root()
    return Podman()


def find_cloud(name: str) -> "Cloud":
    """The cloud of this name. Raises ArbaroError that lists those there are."""
    from arbaro.cluster.cloud import existing_cloud

    return reached_directly(existing_cloud(name, provider()))


def reached_directly(cloud: "Cloud") -> "Cloud":
    """The same cloud, for whose addresses this process and its children ask no proxy."""
    for variable in ("no_proxy", "NO_PROXY"):
        os.environ[variable] = ",".join(filter(None, (os.environ.get(variable), str(cloud.spec.public_address))))
    return cloud


def find_host(cloud: "Cloud", name: str) -> "Host":
    """The host of this name. Raises ArbaroError that lists those that the cloud has."""
    for host in cloud.spec.hosts:
        if host.name == name:
            return host
    raise ArbaroError(
        f"The cloud {cloud.spec.name} has no host {name!r}.",
        why=f"It has: {', '.join(h.name for h in cloud.spec.hosts)}.",
    )


def announce_packages() -> bool:
    """Name what will be installed, and why; say whether there is any."""
    from arbaro import output
    from arbaro.cluster import this_machine

    missing = this_machine.missing_packages()
    for package in missing:
        output.say(f"  will install {package}: it {this_machine.PACKAGES[package]}")
    return bool(missing)


def only_one_for_images() -> AbstractContextManager[None]:
    """Let nobody else build or remove images meanwhile; say so if we have to wait for them."""
    from arbaro import output
    from arbaro.locks import only_one

    return only_one("images", wait=lambda: output.say("Waiting for another arbaro that works on images."))


def run(name: str, verb: str, plan: "Callable[[], Plan]", *, verbose: bool, dry_run: bool = False) -> "list[Outcome]":
    """Run a plan with its progress shown and its full log kept; returns how each step ended."""
    from arbaro import output
    from arbaro.openstack import cloud_errors
    from arbaro.progress import Progress
    from arbaro.runs import current_run
    from arbaro.settings import log_file
    from arbaro.steps import flatten, run_plan

    def guard() -> AbstractContextManager[None]:
        return cloud_errors(f"arbaro status {name}")

    log = log_file(name, verb)
    with current_run().log_to(log, echo=verbose):
        try:
            with guard():
                steps = plan()
                if dry_run:
                    for step in flatten(steps):
                        output.say(f"  {'would do' if step.needed() else 'done before'}: {step}")
                    return []
            with Progress(steps).shown() as progress:
                return run_plan(steps, progress, guard=guard)
        except ArbaroError as error:
            output.print_error(error, log=log)
            sys.exit(EXIT_FAILURE)

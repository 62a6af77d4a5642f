# SPDX-License-Identifier: Apache-2.0
"""The command `arbaro`: parse, call one room, output. Rooms are imported late, so that --help is there at once."""

import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from arbaro import __version__
from arbaro.errors import EXIT_FAILURE, EXIT_OK, EXIT_WARNING, ArbaroError

NAME = click.argument("name", default="default", shell_complete=lambda *_: _complete_clouds())
VERBOSE = click.option("-v", "--verbose", is_flag=True, help="Show all that is logged.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON for other programs.")
DRY_RUN = click.option("-n", "--dry-run", is_flag=True, help="Say what would be done, and do nothing.")


def main() -> None:
    """Run the command line; errors end as one readable message and exit code 2."""
    try:
        code = cli.main(prog_name="arbaro", standalone_mode=False)
    except ArbaroError as error:
        from arbaro import output

        output.print_error(error)
        code = EXIT_FAILURE
    except click.ClickException as error:
        error.show()
        code = EXIT_FAILURE
    except (KeyboardInterrupt, click.Abort):
        click.echo("\nInterrupted. Run the same command again: it goes on from where it was.", err=True)
        code = EXIT_FAILURE
    except BrokenPipeError:
        code = EXIT_OK
    except Exception:  # noqa: BLE001 (the last door)
        # Python would end with 1, which is our warning.
        traceback.print_exc()
        click.echo("This is a fault in arbaro itself; please report it with the lines above.", err=True)
        code = EXIT_FAILURE
    sys.exit(code if isinstance(code, int) else EXIT_OK)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__)
def cli() -> None:
    """Grow, run and renew a private cloud on real OpenStack.

    \b
    arbaro up                        a cloud of your own, with a first server
    arbaro status                    how it is
    arbaro ssh default controller    look inside
    arbaro down                      take it away, without a trace
    """


@cli.command()
@NAME
@click.option("--release", metavar="NAME", help="OpenStack release.  [default: zed]")
@click.option("--computes", type=int, metavar="N", help="Hosts that run servers.  [default: 2]")
@click.option("--network", metavar="DRIVER", help="Network driver.  [default: linuxbridge]")
@click.option(
    "--user-data",
    "script",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Your script for the first server.",
)
@DRY_RUN
@VERBOSE
def up(
    name: str,
    release: str | None,
    computes: int | None,
    network: str | None,
    script: Path | None,
    dry_run: bool,
    verbose: bool,
) -> int:
    """Start a cloud, from whatever there is, and prove that it works.

    \b
    arbaro up
    arbaro up lab --computes 3 --user-data hello.sh
    """
    from arbaro import output
    from arbaro.cluster import lifecycle, machine
    from arbaro.cluster.spec import NETWORK_DRIVERS

    podman = _provider()
    if network not in (None, *NETWORK_DRIVERS):
        raise ArbaroError(f"There is no network driver {network!r}.", why=f"Known: {', '.join(NETWORK_DRIVERS)}.")
    if release:
        from arbaro.releases import load_release

        load_release(release)
    _check_name(name)
    for package in machine.missing_packages():
        output.say(f"  will install {package}: it {machine.PACKAGES[package]}")
    began = time.monotonic()
    if dry_run and machine.missing_packages():
        output.say("The rest of the plan can be looked at when these packages are installed.")
        return EXIT_OK
    with lifecycle.only_one(name):
        _run(name, "prepare", lambda: lifecycle.prepare_machine(), verbose=verbose, dry_run=dry_run)
        with lifecycle.only_one("images", wait=True):
            cloud = lifecycle.wanted_cloud(lifecycle.Wish(name, release, computes, network, script), podman)
            output.say(_describe(cloud))
            lifecycle.check_room(cloud)
            times = _run(name, "ground", lambda: lifecycle.lay_ground(cloud), verbose=verbose, dry_run=dry_run)
        times |= _run(name, "up", lambda: lifecycle.up(cloud), verbose=verbose, dry_run=dry_run)
        if dry_run:
            return EXIT_OK
        output.say(f"\nThe script in your first server printed:\n{cloud.proof.output().rstrip()}\n")
        if script and "Create a server with your script" not in times:
            output.warn("Your script was not run: first-vm was there before. Delete it, then run the same command.")
        _say_times(times, time.monotonic() - began)
        _say_next(cloud)
    return EXIT_OK


@cli.command("ls")
@JSON
def list_(as_json: bool) -> int:
    """List the clouds on this machine."""
    from arbaro import output

    provider = _provider()
    rows = []
    for spec in provider.list_clouds():
        states = [state.state for state in provider.list_hosts(spec.name)]
        rows.append(
            {
                "name": spec.name,
                "release": spec.release,
                "computes": spec.computes,
                "network": spec.network,
                "hosts running": f"{states.count('running')}/{len(spec.hosts)}",
                "api": f"http://{spec.public_address}:5000/v3",
            }
        )
    if as_json:
        output.print_json(rows)
    elif rows:
        output.print_table(rows)
    else:
        output.say("There is no cloud yet. Next: arbaro up")
    return EXIT_OK


@cli.command()
@NAME
@JSON
def status(name: str, as_json: bool) -> int:
    """Show every host, API, unit and agent of a cloud, and what is wrong.

    Ends with code 0 when all is well, 1 when something is not.
    """
    import dataclasses

    from arbaro import output
    from arbaro.cluster import lifecycle
    from arbaro.cluster import status as room

    cloud = lifecycle.existing_cloud(name, _provider())
    evidence = room.collect(cloud.spec, cloud.provider, cloud.keeper)
    found = room.findings(evidence)
    if as_json:
        output.print_json(
            {
                "name": name,
                "healthy": not found,
                "items": room.report(evidence),
                "findings": [dataclasses.asdict(finding) for finding in found],
            }
        )
        return EXIT_WARNING if found else EXIT_OK
    output.print_table(room.report(evidence))
    output.say()
    for finding in found:
        output.say(f"{finding}" + (f"   → {finding.run}" if finding.run else ""))
    if not found:
        output.say("All is well.")
    return EXIT_WARNING if found else EXIT_OK


@cli.command(context_settings={"ignore_unknown_options": True})
@NAME
@click.argument("host", default="controller")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def ssh(name: str, host: str, command: tuple[str, ...]) -> None:
    """Log in to a host as root, or run a command there.

    \b
    arbaro ssh default compute1
    arbaro ssh default controller -- journalctl -u neutron-server -n 50
    """
    from arbaro import shell
    from arbaro.cluster import lifecycle

    cloud = lifecycle.existing_cloud(name, _provider())
    shell.become([*cloud.keeper.ssh(_host(cloud, host)), *(["--", *command] if command else [])])


@cli.command()
@NAME
@click.argument("host", required=False)
@click.argument("service", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on printing new lines.")
@click.option("-n", "--lines", default=200, show_default=True, help="How many lines back.")
def logs(name: str, host: str | None, service: str | None, follow: bool, lines: int) -> None:
    """Show the journal of a host, or of one service on it; without a host, of all hosts.

    \b
    arbaro logs
    arbaro logs default compute1 nova-compute -f
    """
    from arbaro.cluster import lifecycle, logs

    cloud = lifecycle.existing_cloud(name, _provider())
    hosts = [_host(cloud, host)] if host else cloud.spec.hosts
    logs.show(cloud, hosts, service, follow=follow, lines=lines)


@cli.command()
@NAME
@VERBOSE
def stop(name: str, verbose: bool) -> int:
    """Switch a cloud's hosts off; everything on their disks stays."""
    from arbaro.cluster import lifecycle

    cloud = lifecycle.existing_cloud(name, _provider())
    with lifecycle.only_one(name):
        _run(name, "stop", lambda: lifecycle.stop(cloud), verbose=verbose)
    return EXIT_OK


@cli.command()
@NAME
@VERBOSE
def start(name: str, verbose: bool) -> int:
    """Switch a cloud on again, also after this machine was restarted; its servers come back too."""
    from arbaro.cluster import lifecycle

    cloud = lifecycle.existing_cloud(name, _provider())
    with lifecycle.only_one(name):
        _run(name, "start", lambda: lifecycle.start(cloud), verbose=verbose)
    return EXIT_OK


@cli.command()
@NAME
@DRY_RUN
@VERBOSE
def down(name: str, dry_run: bool, verbose: bool) -> int:
    """Take a cloud away with all its servers and data; nothing of it stays.

    \b
    arbaro down --dry-run
    arbaro down lab
    """
    from arbaro import output
    from arbaro.cluster import lifecycle

    provider = _provider()
    _check_name(name)
    with lifecycle.only_one(name, last=True):
        times = _run(name, "down", lambda: lifecycle.down(name, provider), verbose=verbose, dry_run=dry_run)
    if not dry_run:
        done = f"The cloud {name} is gone; the images stay" if times else f"There was nothing of a cloud {name}"
        output.say(f"{done} (arbaro images ls).")
    return EXIT_OK


@cli.command()
@NAME
def inventory(name: str) -> int:
    """Print a cloud's Ansible inventory (JSON); secrets are named by file, not printed.

    \b
    arbaro inventory > inventory.json
    cd ansible; ansible-playbook -i ../inventory.json playbooks/restart-agent.yml -e agent=neutron-dhcp-agent
    """
    from arbaro import output
    from arbaro.cluster import lifecycle

    output.print_json(lifecycle.existing_cloud(name, _provider()).inventory)
    return EXIT_OK


@cli.group()
def images() -> None:
    """The images that hosts and guests start from."""


@images.command("ls")
@JSON
def images_list(as_json: bool) -> int:
    """List host images and guest images."""
    from arbaro import output
    from arbaro.cluster import guests
    from arbaro.cluster import images as room

    _provider()
    hosts, built = room.list_images(), guests.list_guests()
    if as_json:
        output.print_json({"hosts": hosts, "guests": built})
    else:
        output.print_table(hosts)
        output.say()
        output.print_table(built)
    return EXIT_OK


@images.command("build")
@click.argument("names", nargs=-1)
@click.option("--release", default="zed", show_default=True)
@VERBOSE
def images_build(names: tuple[str, ...], release: str, verbose: bool) -> int:
    """Build what is missing: `hosts`, `tiny`, `debian-12`; without a name, hosts and tiny.

    \b
    arbaro images build
    arbaro images build debian-12
    """
    from arbaro.cluster import guests, lifecycle, machine
    from arbaro.cluster.images import HostImages, clean_after_builds
    from arbaro.releases import load_release

    _provider()
    wanted = names or ("hosts", "tiny")
    recipes = [guests.guest(name) for name in wanted if name != "hosts"]
    with lifecycle.only_one("images", wait=True):
        _run("images", "prepare", lambda: lifecycle.prepare_machine(), verbose=verbose)
        hosts = (
            HostImages(load_release(release), "linuxbridge", machine.look_at_machine()).steps()
            if "hosts" in wanted
            else []
        )
        plan = [*hosts, *(recipe.step() for recipe in recipes), clean_after_builds()]
        _run("images", "build", lambda: plan, verbose=verbose)
    return EXIT_OK


@images.command("prune")
@DRY_RUN
def images_prune(dry_run: bool) -> int:
    """Remove images that no cloud uses and that the next `up` would not use either."""
    from arbaro import output
    from arbaro.cluster import guests, lifecycle, machine
    from arbaro.cluster import images as room
    from arbaro.cluster.spec import NETWORK_DRIVERS
    from arbaro.releases import list_releases, load_release

    _provider()
    with lifecycle.only_one("images", wait=True):
        host = machine.look_at_machine()
        current = [room.HostImages(load_release(r), n, host) for r in list_releases() for n in NETWORK_DRIVERS]
        keep = [name for one in current for name in (one.base, one.name("controller"), one.name("compute"))]
        removed = room.prune_images(keep, dry_run=dry_run)
    removed += guests.prune_guests(dry_run=dry_run)
    verb = "Would remove" if dry_run else "Removed"
    output.say("\n".join(f"{verb} {name}" for name in removed) or "Nothing to remove.")
    return EXIT_OK


def _provider() -> Any:
    from arbaro.cluster.providers.podman import Podman
    from arbaro.settings import require_root

    require_root()
    return Podman()


def _check_name(name: str) -> None:
    from arbaro.settings import check_name

    check_name(name)


def _host(cloud: Any, name: str) -> Any:
    for host in cloud.spec.hosts:
        if host.name == name:
            return host
    raise ArbaroError(
        f"The cloud {cloud.spec.name} has no host {name!r}.",
        why=f"It has: {', '.join(h.name for h in cloud.spec.hosts)}.",
    )


def _run(name: str, verb: str, plan: Callable[[], Any], *, verbose: bool, dry_run: bool = False) -> dict[str, float]:
    """Run a plan with its progress shown and its full log kept; returns the seconds of each step that was done."""
    from arbaro import output, shell
    from arbaro.openstack import cloud_errors
    from arbaro.settings import log_file
    from arbaro.steps import flatten, run_plan

    log = log_file(name, verb)
    with shell.log_to(log, echo=verbose):
        try:
            steps = plan()
            if dry_run:
                for step in flatten(steps):
                    output.say(f"  {'would do' if step.needed() else 'done before'}: {step.title}")
                return {}
            with cloud_errors(), output.Progress(steps).shown() as progress:
                run_plan(steps, progress)
        except ArbaroError as error:
            output.print_error(error, log=log)
            sys.exit(EXIT_FAILURE)
    return progress.times


def _describe(cloud: Any) -> str:
    from arbaro.cluster.machine import look_at_machine

    spec, host = cloud.spec, look_at_machine()
    kind = "KVM" if host.virt_type == "kvm" else "QEMU without KVM"
    return (
        f"Cloud {spec.name}: OpenStack {spec.release.capitalize()}, 1 controller and {spec.computes} computes "
        f"on {spec.underlay}, guests by {kind} ({host.virt_reason})."
    )


def _say_times(times: dict[str, float], total: float) -> None:
    from arbaro import output

    output.say(
        "Times: " + ", ".join(f"{title} {output.seconds(value)}" for title, value in times.items() if value >= 1)
    )
    output.say(f"In all {output.seconds(total)}.\n")


def _say_next(cloud: Any) -> None:
    from arbaro import output
    from arbaro.cluster import access
    from arbaro.cluster.proof import SERVER
    from arbaro.settings import openstack_command

    output.say("What to type next:")
    output.say(f"  {openstack_command()} --os-cloud {cloud.spec.cloud_name} server list")
    output.say(f"  {cloud.proof.ssh_line()}")
    output.say(
        f"  . {access.openrc_file(cloud.keeper)}          # the same cloud for tools that know only the environment"
    )
    output.say(
        f"  arbaro status {cloud.spec.name}; arbaro ssh {cloud.spec.name} controller; arbaro down {cloud.spec.name}"
    )
    output.say(f"Console of {SERVER} (for ten minutes): {cloud.proof.console_url()}")


def _complete_clouds() -> list[str]:
    from arbaro.cluster.providers.podman import Podman

    try:
        return [spec.name for spec in Podman().list_clouds()]
    except ArbaroError:
        return []

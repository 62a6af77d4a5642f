# SPDX-License-Identifier: Apache-2.0
"""The commands that look at clouds and into them, and change nothing: ls, status, ssh, logs, inventory."""

from typing import TYPE_CHECKING, Any

import click

from arbaro.cli.options import JSON, NAME, complete_hosts, find_cloud, find_host, provider
from arbaro.errors import EXIT_OK, EXIT_WARNING

if TYPE_CHECKING:
    from arbaro.cluster.providers import Provider
    from arbaro.cluster.spec import CloudSpec


@click.command()
@JSON
def ls(as_json: bool) -> int:
    """List the clouds on this machine."""
    from arbaro import output

    podman = provider()
    rows = [_row(spec, podman) for spec in podman.list_clouds()]
    if as_json:
        output.print_json(rows)
    elif rows:
        output.print_table(rows)
    else:
        output.say("There is no cloud yet. Next: arbaro up")
    return EXIT_OK


@click.command()
@NAME
@JSON
def status(name: str, as_json: bool) -> int:
    """Show a cloud's hosts, APIs, units and agents: what is wrong.

    Ends with code 0 when all is well, 1 when something is not, or could not be looked at.
    """
    from arbaro import output
    from arbaro.checks import judge, troubles
    from arbaro.cli import findings, table
    from arbaro.cluster.checks import CHECKS
    from arbaro.cluster.evidence import collect

    evidence = collect(find_cloud(name))
    found = judge(CHECKS, evidence)
    if as_json:
        output.print_json(table.report(evidence, found))
    else:
        output.print_table(table.rows(evidence))
        output.say()
        findings.print_findings(found)
        if troubles(found):
            output.say_dimmed(f"Why: arbaro doctor --cloud {name}")
        else:
            output.say("All is well.")
    return EXIT_WARNING if troubles(found) else EXIT_OK


@click.command(context_settings={"ignore_unknown_options": True})
@NAME
@click.argument("host", default="controller", shell_complete=complete_hosts)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def ssh(name: str, host: str, command: tuple[str, ...]) -> None:
    """Log in to a host as root, or run a command there.

    \b
    arbaro ssh default compute1
    arbaro ssh default controller -- journalctl -u neutron-server -n 50
    """
    from arbaro import shell

    cloud = find_cloud(name)
    shell.become([*cloud.reach(find_host(cloud, host)).ssh(), *(["--", *command] if command else [])])


@click.command()
@NAME
@click.argument("host", required=False, shell_complete=complete_hosts)
@click.argument("service", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on printing new lines.")
@click.option("-n", "--lines", default=200, show_default=True, help="How many lines back.")
def logs(name: str, host: str | None, service: str | None, follow: bool, lines: int) -> None:
    """Show the journal of a host or service. Without a host: of all hosts.

    \b
    arbaro logs
    arbaro logs default compute1 nova-compute -f
    """
    from arbaro.cluster import logs as journals

    cloud = find_cloud(name)
    hosts = [find_host(cloud, host)] if host else cloud.spec.hosts
    journals.show(cloud, hosts, service, follow=follow, lines=lines)


@click.command()
@NAME
def inventory(name: str) -> int:
    """Print a cloud's Ansible inventory as JSON. Secrets are named by file, not printed.

    \b
    arbaro inventory > inventory.json
    cd ansible; ansible-playbook -i ../inventory.json playbooks/restart-agent.yml -e agent=neutron-dhcp-agent
    """
    from arbaro import output

    output.print_json(find_cloud(name).ansible_inventory)
    return EXIT_OK


def _row(spec: "CloudSpec", podman: "Provider") -> dict[str, Any]:
    from arbaro.cluster.access import auth_url

    states = [state.state for state in podman.list_hosts(spec.name)]
    return {
        "name": spec.name,
        "release": spec.release,
        "computes": spec.computes,
        "network": spec.network,
        "hosts running": f"{states.count('running')}/{len(spec.hosts)}",
        "api": auth_url(spec),
    }

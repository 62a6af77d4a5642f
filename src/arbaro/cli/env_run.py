# SPDX-License-Identifier: Apache-2.0
"""The commands that run something in environments: env exec, shell, each, check; and how to enter one."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from arbaro.cli.options import JSON
from arbaro.errors import EXIT_FAILURE, EXIT_OK, EXIT_WARNING, ArbaroError

if TYPE_CHECKING:
    from arbaro.envs.switch import Place

READ_ONLY = click.option(
    "--read-only", is_flag=True, help="With a credential that can only read (production: always so)."
)
WRITE = click.option("--write", is_flag=True, help="Type the region's name, and write for 30 minutes.")
PLAIN = click.option("--plain", is_flag=True, help="With the credential of clouds.yaml as it is.")
PROJECT = click.option("--project", default="", metavar="PROJECT", help="Another project than the entry names.")
COMMAND = click.argument("argv", metavar="-- COMMAND…", nargs=-1, required=True, type=click.UNPROCESSED)
_PASS_ON = {"ignore_unknown_options": False, "allow_interspersed_args": False}


def chosen_mode(modes: dict[str, bool]) -> str | None:
    """The one mode that was asked for, if any. Raises ArbaroError for two."""
    said = [name.replace("_", "-") for name, yes in modes.items() if yes]
    if len(said) > 1:
        raise ArbaroError(f"--{said[0]} and --{said[1]} exclude each other.")
    return said[0] if said else None


def enter(name: str, mode: str | None, project: str) -> "Place":
    """The place that a person wants to be in; asks them for what must be typed."""
    from arbaro import output
    from arbaro.envs import entering, index
    from arbaro.envs.environment import find

    environment = find(name, index.environments())
    if environment.fault:
        # It may be over: a profile is fetched from its provider.
        environment = find(name, index.refresh())
    # To standard error: standard output belongs to the shell or to the command.
    place = entering.enter(environment, mode, project, lambda what: str(click.prompt(what, err=True)))
    if place.untried:
        output.warn(f"Not tried, because they did not answer or are unknown to arbaro: {', '.join(place.untried)}.")
    if place.unguarded:
        output.warn(f"Not guarded: {', '.join(place.unguarded)} still lets users, roles and projects be changed here.")
    return place


@click.command("exec")
@click.argument("name", metavar="NAME")
@READ_ONLY
@WRITE
@PLAIN
@PROJECT
@COMMAND
def env_exec(name: str, argv: tuple[str, ...], project: str, **modes: bool) -> None:
    """Run one command in an environment; this shell stays where it is.

    \b
    arbaro env exec prod-1 -- openstack server list
    """
    from arbaro import shell
    from arbaro.envs.crowd import search_path
    from arbaro.envs.switch import process_environment

    place = enter(name, chosen_mode(modes), project)
    variables = process_environment(place, os.environ)
    _become(variables | {"PATH": search_path()})
    shell.become(argv)


@click.command("shell")
@click.argument("name", metavar="NAME")
@READ_ONLY
@WRITE
@PLAIN
@PROJECT
def env_shell(name: str, project: str, **modes: bool) -> None:
    """Open a sub-shell in an environment; leave it with `exit`. The prompt shows how deep it is."""
    from arbaro import shell
    from arbaro.envs import shellinit
    from arbaro.envs.crowd import search_path
    from arbaro.envs.switch import process_environment

    place = enter(name, chosen_mode(modes), project)
    kind = Path(os.environ.get("SHELL", "bash")).name
    argv, start = shellinit.start_files(kind)
    depth = str(int(os.environ.get("ARBARO_ENV_DEPTH") or 0) + 1)
    _become(process_environment(place, os.environ) | start | {"ARBARO_ENV_DEPTH": depth, "PATH": search_path()})
    shell.become(argv)


def _become(variables: dict[str, str]) -> None:
    for gone in os.environ.keys() - variables.keys():
        del os.environ[gone]
    os.environ.update(variables)


@click.command("each")
@click.argument("pattern")
@click.option(
    "--timeout", default=60.0, show_default=True, metavar="SECONDS", help="Nobody waits longer for one of them."
)
@READ_ONLY
@PLAIN
@JSON
@COMMAND
def env_each(pattern: str, argv: tuple[str, ...], timeout: float, as_json: bool, **modes: bool) -> int:
    """Run a command in many environments, and print one table.

    They are those whose name matches PATTERN, or all of a kind.

    \b
    arbaro env each 'prod-*' -- openstack server list -f json
    arbaro env each test -- openstack hypervisor stats show -f json
    """
    from arbaro.envs import crowd, entering, index
    from arbaro.envs.environment import matching

    mode = chosen_mode(modes)
    answers = crowd.ask_all(
        matching(pattern, index.environments()),
        lambda environment: entering.enter_without_asking(environment, mode),
        argv,
        timeout,
    )
    return _show(answers, as_json)


def _show(answers: "list[crowd.Answer]", as_json: bool) -> int:  # type: ignore[name-defined] # noqa: F821
    from arbaro import output
    from arbaro.envs import crowd

    rows = crowd.merge(answers)
    if as_json:
        failed = {answer.environment: answer.failed for answer in answers if answer.failed}
        printed = {answer.environment: answer.output for answer in answers if not answer.failed}
        output.print_json(
            {"rows": rows, "failed": failed} if rows is not None else {"output": printed, "failed": failed}
        )
    elif rows is None:
        output.say("\n".join(crowd.lines(answers)))
    else:
        output.print_table(rows)
    lost = [answer for answer in answers if answer.failed]
    for answer in lost:
        output.warn(f"{answer.environment}: {answer.failed}")
    return EXIT_OK if not lost else EXIT_WARNING if len(lost) < len(answers) else EXIT_FAILURE


@click.command("check")
@click.argument("pattern", metavar="[PATTERN]", default="*")
@JSON
def env_check(pattern: str, as_json: bool) -> int:
    """Find what is wrong with environments.

    It looks for dead endpoints, certificates and credentials that are over, unsafe files and doubtful names.

    Ends with code 0 when all is well, 1 when something is not, or could not be looked at.
    """
    from arbaro import output
    from arbaro.checks import judge
    from arbaro.cli import findings
    from arbaro.envs import evidence, health, index
    from arbaro.envs.environment import matching

    known = index.refresh()
    environments = matching(pattern, known) if known else []
    found = judge(health.CHECKS, evidence.collect(environments))
    if as_json:
        output.print_json(findings.as_json(found))
    else:
        findings.print_findings(found)
        if not found:
            output.say(f"All is well in {len(environments)} environments.")
    return EXIT_WARNING if found else EXIT_OK


COMMANDS = (env_exec, env_shell, env_each, env_check)

# SPDX-License-Identifier: Apache-2.0
"""The commands that say which cloud a shell is on and keep the list of them: env ls, use, current, add, import …"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from arbaro.cli import env_run
from arbaro.cli.options import JSON
from arbaro.errors import EXIT_OK, EXIT_WARNING, ArbaroError

if TYPE_CHECKING:
    from arbaro.envs.switch import Place

ENV = click.argument("name", metavar="NAME")
KIND = click.option(
    "--kind", type=click.Choice(["development", "test", "production"]), help="How careful to be with it."
)


@click.group()
def env() -> None:
    """Switch between clouds: each shell is in one environment.

    \b
    eval "$(arbaro shell-init bash)"     once, in ~/.bashrc
    arbaro env ls
    arbaro env use prod-1                to look; --write to change things
    arbaro env use -                     back
    """


@env.command("ls")
@JSON
def env_ls(as_json: bool) -> int:
    """List environments. The one of this shell has a star."""
    from arbaro import output
    from arbaro.envs import index
    from arbaro.envs.environment import row

    known = index.environments()
    rows = [row(environment) for environment in known]
    if as_json:
        output.print_json(rows)
    elif rows:
        here = os.environ.get("ARBARO_ENV")
        output.print_table([{" ": "*" if r["name"] == here else "", **r} for r in rows])
    else:
        output.say("There is no environment yet. Next: arbaro env import FILE, or arbaro up")
    for environment in known:
        if environment.fault:
            output.warn(f"{environment.name} cannot be used: {environment.fault}.")
    return EXIT_OK


@env.command("use")
@click.argument("name", metavar="NAME|-", required=False)
@env_run.READ_ONLY
@env_run.WRITE
@env_run.PLAIN
@env_run.PROJECT
@click.option("--none", "leave", is_flag=True, help="Leave: no environment any more.")
@click.option("--shell", hidden=True)
def env_use(name: str | None, leave: bool, shell: str | None, project: str, **modes: bool) -> int:
    """Put this shell into an environment. `-` is the one before. Other shells stay where they are.

    Production is entered with a credential that only reads. `--write` asks for the region's name, and ends by itself.
    """
    from arbaro import output
    from arbaro.envs.switch import LEAVE, shell_words

    if not shell:
        raise ArbaroError(
            "A program cannot change its shell, so `env use` needs a line in the shell's start file.",
            why='bash, zsh: eval "$(arbaro shell-init bash)", with its own name; fish: arbaro shell-init fish | source',
            hint="arbaro env shell NAME opens a sub-shell without that.",
        )
    if leave:
        output.hand_over(LEAVE)
    else:
        output.hand_over(shell_words(_place(name, project, modes), shell))
    return EXIT_OK


def _place(name: str | None, project: str, modes: dict[str, bool]) -> "Place":
    if name == "-":
        name = os.environ.get("ARBARO_ENV_BEFORE")
        if not name:
            raise ArbaroError("This shell has been in no environment before.", hint="arbaro env ls")
    if not name:
        raise ArbaroError("Which environment?", hint="arbaro env ls")
    return env_run.enter(name, env_run.chosen_mode(modes), project)


@env.command("current")
@JSON
def env_current(as_json: bool) -> int:
    """Say where this shell is. Ends with code 1 if it is nowhere, or was moved by hand."""
    from arbaro import output
    from arbaro.envs import current

    found = current.look(os.environ)
    if as_json:
        output.print_json(found)
    elif not found["name"]:
        output.say("No environment is chosen. Next: arbaro env use NAME")
    else:
        output.print_table([{key: value for key, value in found.items() if key != "wrong"}])
    if found["wrong"]:
        output.warn(f"{found['wrong']} Next: arbaro env use {found['name'] or 'NAME'}")
    return EXIT_OK if found["name"] and not found["wrong"] else EXIT_WARNING


@env.command("add")
@ENV
@click.option("--auth-url", required=True, metavar="URL", help="Where keystone answers.")
@click.option("--username", metavar="USER")
@click.option("--application-credential-id", metavar="ID", help="Instead of a user.")
@click.option("--project", "project_name", metavar="PROJECT")
@click.option("--user-domain", default="Default", show_default=True)
@click.option("--project-domain", default="Default", show_default=True)
@click.option("--region", "regions", metavar="REGION", multiple=True, help="Several times for several regions.")
@click.option(
    "--cacert", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The CA of its certificates."
)
@KIND
@click.option("--keyring", is_flag=True, help="Keep the password in the keyring instead of secure.yaml.")
def env_add(name: str, kind: str | None, keyring: bool, **said: Any) -> int:
    """Add an environment. The password is asked for, or read from standard input.

    \b
    arbaro env add prod-1 --auth-url https://keystone.example:5000/v3 --username me --project admin --region kr-1
    """
    from arbaro import output
    from arbaro.envs import book, vault

    book.refuse_if_there(name)
    secret = vault.ask(f"Password of {said['username'] or said['application_credential_id'] or name}")
    book.add(name, book.entry_from(**said), secret, kind=kind, in_keyring=keyring)
    output.say(f"Added {name}. Next: arbaro env use {name}")
    return EXIT_OK


@env.command("import")
@click.argument("paths", metavar="FILE…", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--as", "name", metavar="NAME", help="The environment's name, for one openrc file.")
@KIND
@click.option("--replace", is_flag=True, help="Write over an environment of the same name.")
@click.option("--take", "taken", metavar="VARIABLE", multiple=True, help="A variable of your shell that FILE may use.")
@click.option("--evaluate", is_flag=True, help="Let bash run FILE, shut in: no files, no network, no programs.")
def env_import(
    paths: tuple[Path, ...], name: str | None, kind: str | None, replace: bool, taken: tuple[str, ...], evaluate: bool
) -> int:
    """Import openrc and clouds.yaml files. They are read, never executed; if one is wrong, nothing is done.

    \b
    arbaro env import ~/openrc/*
    arbaro env import --evaluate strange-openrc.sh      answers its questions now, and keeps the answers
    """
    from arbaro import output
    from arbaro.envs import book, openrc, sandbox

    if name and len(paths) > 1:
        raise ArbaroError("One name cannot be given to several files.", hint="arbaro env import --as NAME FILE")
    given = openrc.taken_from(os.environ, taken)

    def read(path: Path) -> openrc.Openrc:
        found = sandbox.evaluate(path, given) if evaluate else openrc.read(path, given)
        if found.left_out:
            output.warn(f"Left out of {path}: {', '.join(found.left_out)} (only OS_… and a few others are taken over).")
        return found

    arrivals = [arrival for path in paths for arrival in book.arrivals(path, name, read)]
    for imported in book.take_over(arrivals, kind=kind, replace=replace):
        output.say(imported)
    return EXIT_OK


@env.command("export")
@ENV
@click.argument("target", metavar="[FILE]", required=False, type=click.Path(path_type=Path))
def env_export(name: str, target: Path | None) -> int:
    """Write an environment as an openrc. It goes to FILE (0600), or to standard output.

    It holds the secret, so a terminal is refused.
    """
    import sys

    from arbaro import cloudsfile, output
    from arbaro.envs import book

    if target is None and sys.stdout.isatty():
        raise ArbaroError(
            "An openrc holds the secret, which would stay on the screen.", hint=f"arbaro env export {name} FILE"
        )
    text = book.openrc_text(name)
    if target:
        cloudsfile.replace(target, text, private=True)
        output.say(f"Wrote {target}.")
    else:
        output.hand_over(text.rstrip("\n"))
    return EXIT_OK


@env.command("rm")
@ENV
def env_rm(name: str) -> int:
    """Remove an environment from clouds.yaml and secure.yaml. The old files stay as FILE~."""
    from arbaro import output
    from arbaro.envs import book

    output.say(book.remove(name))
    return EXIT_OK


@env.command("mark")
@ENV
@click.argument("kind", type=click.Choice(["development", "test", "production"]))
def env_mark(name: str, kind: str) -> int:
    """Say how careful to be with an environment. It sets the colour, and whether one only looks by default."""
    from arbaro import output
    from arbaro.envs import book

    output.say(book.mark(name, kind))
    return EXIT_OK


for command in env_run.COMMANDS:
    env.add_command(command)

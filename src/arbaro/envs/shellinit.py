# SPDX-License-Identifier: Apache-2.0
"""What a shell evaluates at its start: functions that switch, complete and show the environment in the prompt."""

import os
import sys
from pathlib import Path

from arbaro.cloudspaths import kept_choices
from arbaro.envs import files
from arbaro.envs.switch import quote
from arbaro.errors import ArbaroError
from arbaro.settings import cache_dir

SHELLS = {"bash": ("common.sh", "bash.sh"), "zsh": ("common.sh", "zsh.sh"), "fish": ("init.fish",)}
OPTIONS = ("--read-only", "--write", "--plain", "--project", "--json", "--kind", "--help")


def init_text(shell: str, verbs: list[str], env_verbs: list[str]) -> str:
    """The text for one shell; paths are fixed here, so that nothing has to be searched at each switch."""
    parts = [(Path(__file__).parent / "shells" / name).read_text() for name in SHELLS[shell]]
    return "\n".join([_settings(shell, verbs, env_verbs), *parts])


def _settings(shell: str, verbs: list[str], env_verbs: list[str]) -> str:
    values = {
        "shell": shell,
        "command": str(command()),
        "index": str(files.index_file()),
        "views": str(files.views_dir()),
        "tokens": str(files.tokens_dir()),
        "projects_dir": str(files.projects_dir()),
        "openstack_words": str(files.openstack_words_dir()),
        "verbs": " ".join(verbs),
        "env_verbs": " ".join(env_verbs),
        "env_options": " ".join(OPTIONS),
    }
    if shell == "fish":
        values["booted"] = str(_booted())
        lines = [f"set -g __arbaro_{key} {quote(value, shell)}" for key, value in values.items()]
    else:
        lines = [f"__arbaro_{key}={quote(value, shell)}" for key, value in values.items()]
    return "\n".join([*lines, *_own_choice(shell)])


def _own_choice(shell: str) -> list[str]:
    """Keep the files that the person chose themselves: OS_CLIENT_CONFIG_FILE will be ours after a switch."""
    export = "set -gx {} {}" if shell == "fish" else "export {}={}"
    return [export.format(name, quote(value, shell)) for name, value in kept_choices(os.environ).items()]


def _booted() -> int:
    lines = Path("/proc/stat").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("btime"))


def command() -> Path:
    """The `arbaro` that runs now, by its full path, so that it need not be in the PATH."""
    return Path(sys.argv[0]).absolute()


def start_files(shell: str) -> tuple[list[str], dict[str, str]]:
    """The argv and variables of an interactive sub-shell that shows the environment, whatever its start files do."""
    directory = cache_dir() / "env" / "start"
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Asked for again in the sub-shell, unless its own start files have done so.
    init = f'eval "$({quote(str(command()), shell)} shell-init {shell})"'
    load = f"[[ -n ${{__arbaro_command-}} ]] || {init}\n__arbaro_last\n"
    if shell == "bash":
        (directory / "bashrc").write_text(f"[[ ! -r ~/.bashrc ]] || . ~/.bashrc\n{load}")
        return ["bash", "--rcfile", str(directory / "bashrc"), "-i"], {}
    if shell == "zsh":
        own = os.environ.get("ZDOTDIR", str(Path.home()))
        (directory / ".zshenv").write_text('[[ ! -r $ARBARO_ZDOTDIR/.zshenv ]] || . "$ARBARO_ZDOTDIR/.zshenv"\n')
        (directory / ".zshrc").write_text(
            f'ZDOTDIR=$ARBARO_ZDOTDIR; unset ARBARO_ZDOTDIR\n[[ ! -r $ZDOTDIR/.zshrc ]] || . "$ZDOTDIR/.zshrc"\n{load}'
        )
        return ["zsh", "-i"], {"ZDOTDIR": str(directory), "ARBARO_ZDOTDIR": own}
    if shell == "fish":
        return [
            "fish",
            "-i",
            "-C",
            f"set -q __arbaro_command; or {quote(str(command()), shell)} shell-init fish | source",
        ], {}
    raise ArbaroError(f"arbaro does not know the shell {shell!r}.", why="It knows bash, zsh and fish.")


def write_openstack_words(text: str) -> None:
    """Keep what `openstack complete` printed, one line for each group of words: `server add<TAB>fixed floating …`.

    One file for each first word, because a shell reads a hundred lines at once and ten thousand too slowly.
    """
    groups: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, equals, words = line.strip().partition("=")
        if equals and (name == "cmds" or name.startswith("cmds_")):
            group = name[5:].replace("_", " ")
            groups.setdefault(group.partition(" ")[0] or ".first", []).append(f"{group}\t{words.strip(chr(39))}\n")
    if not groups:
        raise ArbaroError("`openstack complete` printed nothing that could be read.", hint="openstack complete")
    target = files.openstack_words_dir()
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    for first, lines in groups.items():
        new = target / f"{first}.{os.getpid()}"
        new.write_text("".join(lines))
        new.rename(target / first)

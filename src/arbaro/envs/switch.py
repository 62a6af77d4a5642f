# SPDX-License-Identifier: Apache-2.0
"""What makes a shell or a command be in an environment: a few variables, and none of those that were there before."""

import os
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from arbaro.cloudspaths import KEPT_CHOICES, clouds_file, is_there, kept_choices, secure_file
from arbaro.envs import views
from arbaro.envs.environment import Environment
from arbaro.envs.kinds import PRODUCTION
from arbaro.errors import ArbaroError

#: The credentials as clouds.yaml has them; or short-lived ones: refused on writing, for writing, for a secret that is
#: not in a file.
PLAIN, READ_ONLY, WRITE, SESSION = MODES = (views.PLAIN, "read-only", "write", "session")
#: The longest time (s) that a credential may have left and still be renewed before it is used again.
NEARLY_OVER = 300


@dataclass(frozen=True)
class Place:
    """Where a shell is: an environment, how far it may go there, until when (epoch; 0: not known)."""

    environment: Environment
    mode: str
    config: Path
    secure: Path
    until: int = 0
    project: str = ""
    #: Found out when the credential was made: services of which it is not known that they refuse to write (they did not
    #: answer, or we don't know them), and those that let writing through although the credential only reads.
    untried: tuple[str, ...] = field(default=(), compare=False)
    unguarded: tuple[str, ...] = field(default=(), compare=False)


def default_mode(environment: Environment) -> str:
    """How to enter an environment when nothing is said: production only to look."""
    if environment.kind == PRODUCTION:
        return READ_ONLY
    return PLAIN if environment.secret in ("file", "nowhere") else SESSION


def plain(environment: Environment, project: str = "") -> Place:
    """The place with the credentials as the files have them; other files, in this directory too, don't count there."""
    secure = secure_file()
    config = clouds_file()
    if environment.os_region or project:
        config = views.view_file(environment, PLAIN, project)
        if project or not config.exists():
            views.write_plain(environment, project)
    return Place(environment, PLAIN, config, secure if is_there(secure) else Path(os.devnull), 0, project)


def kept(environment: Environment, mode: str, project: str = "") -> Place | None:
    """The place with the short-lived credential of an earlier time, if it lasts."""
    path = views.view_file(environment, mode, project)
    try:
        with path.open() as file:
            until = int(file.readline().split()[3])
    except (OSError, ValueError, IndexError):
        return None
    newer = path.stat().st_mtime_ns >= clouds_file().stat().st_mtime_ns
    return Place(environment, mode, path, path, until, project) if newer and until > time.time() + NEARLY_OVER else None


def variables(place: Place) -> dict[str, str]:
    """The variables that concern clouds, as a process in that place has them in its environment."""
    env = place.environment
    chosen = {
        "OS_CLOUD": env.cloud,
        "OS_CLIENT_CONFIG_FILE": str(place.config),
        "OS_CLIENT_SECURE_FILE": str(place.secure),
        # For programs that do not use openstacksdk; for those that do, it is in the file.
        "OS_REGION_NAME": env.os_region,
    }
    chosen = {name: value for name, value in chosen.items() if value}
    return chosen | {
        "ARBARO_ENV": env.name,
        "ARBARO_ENV_KIND": env.kind,
        "ARBARO_ENV_REGION": env.region,
        "ARBARO_ENV_PROJECT": place.project or env.project,
        "ARBARO_ENV_MODE": place.mode,
        "ARBARO_ENV_UNTIL": str(place.until or ""),
        "ARBARO_ENV_IS": "|".join(chosen.get(name, "") for name in TRUTH),
    }


#: What decides where a client goes; the prompt compares it with what was chosen.
TRUTH = ("OS_CLOUD", "OS_CLIENT_CONFIG_FILE", "OS_CLIENT_SECURE_FILE", "OS_REGION_NAME", "OS_PROJECT_NAME")


def process_environment(place: Place, before: Mapping[str, str]) -> dict[str, str]:
    """The whole environment for a process in that place."""
    kept = {name: value for name, value in before.items() if not is_about_clouds(name)}
    return kept | kept_choices(before) | variables(place)


def is_about_clouds(name: str) -> bool:
    """Say whether a variable chooses a cloud or a place in it; depth and the way back are the shell's own."""
    return name.startswith("OS_") or (
        name.startswith("ARBARO_ENV") and name not in ("ARBARO_ENV_DEPTH", "ARBARO_ENV_BEFORE", *KEPT_CHOICES.values())
    )


def shell_words(place: Place, shell: str) -> str:
    """The call of the shell's own function that puts it in that place; the same words in all shells."""
    env = place.environment
    words = [env.name, env.kind, env.cloud, env.os_region, env.region, place.project or env.project]
    words += [place.mode, str(place.until or ""), str(place.config), str(place.secure)]
    return f"{SEAL}__arbaro_enter " + " ".join(quote(word, shell) for word in words)


#: Before what a shell evaluates. It evaluates nothing else: not a help text, not a warning that came between.
SEAL = "#arbaro# "
LEAVE = f"{SEAL}__arbaro_leave"


def quote(word: str, shell: str) -> str:
    """Quote a word for a shell. In fish a backslash counts within single quotes, too."""
    if shell == "fish":
        return "'" + word.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return shlex.quote(word)


def must_be_typed(environment: Environment) -> str:
    """What a person types in full before writing: the region's name, or the environment's where no region is named."""
    return environment.region or environment.name


def refuse_unless_typed(environment: Environment, typed: str) -> None:
    """Raises ArbaroError if what was typed is not the region's name."""
    wanted = must_be_typed(environment)
    if typed.strip() != wanted:
        raise ArbaroError(
            f"Not switched: {typed.strip()!r} is not {wanted!r}.",
            hint=f"arbaro env use {environment.name} --read-only",
        )


def terminal_needed(environment: Environment) -> ArbaroError:
    """The error where nobody sits to type the region's name."""
    return ArbaroError(
        f"Writing in {environment.name} needs a person who types its region's name; there is no terminal here.",
        hint=f"arbaro env use {environment.name} --write, in a terminal" if os.environ.get("TERM") else "",
    )

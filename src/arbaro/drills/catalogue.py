# SPDX-License-Identifier: Apache-2.0
"""Drills are data: drills/*.yml, one file for each layer of a cloud. They are read and chosen here."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from string import Template
from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from arbaro.datafiles import CLOSED, read_data
from arbaro.errors import ArbaroError
from arbaro.settings import files_dir

#: Where the shell lines of a drill run. `here` is this machine; `other-compute` is one that has not got the server.
Group = Literal["compute", "other-compute", "controller", "tor", "here"]
#: What must be there: a server of the guest image `tiny`, and two computes.
Need = Literal["server", "two-computes"]
#: What a user does to see whether it works again (probes.PROBES).
Symptom = Literal[
    "ping",
    "steady-ping",
    "big-ping",
    "ssh",
    "many-connections",
    "outward",
    "dhcp",
    "metadata",
    "new-server",
    "any-server",
    "server-in-aggregate",
    "server-idle",
    "script-ran",
    "apis",
    "image-download",
]


@dataclass(frozen=True, config=CLOSED)
class Cause:
    """What the doctor is to name: the id of its check, and on which host. No host: it is about OpenStack itself."""

    check: str
    host: str = ""


@dataclass(frozen=True, config=CLOSED)
class Move:
    """One command of the solution, and a sentence that says why."""

    type: str
    why: str


@dataclass(frozen=True, config=CLOSED)
class Drill:
    """One way in which a cloud is broken. drills/README.md explains each field.

    A double fault names two other drills in `both`, and has no shell lines of its own.
    """

    name: str
    title: str
    level: Annotated[int, Field(ge=1, le=5)]
    minutes: Annotated[int, Field(ge=1)]
    ticket: str
    hints: tuple[str, str, str, str]
    solution: tuple[Move, ...]
    source: str
    needs: tuple[Need, ...] = ()
    host: Group = "here"
    breaks: str = ""
    proves: str = ""
    mends: str = ""
    #: Run on this machine after `mends`: what OpenStack itself still remembers.
    tidies: str = ""
    symptom: Symptom = "apis"
    expects: tuple[Cause, ...] = ()
    both: tuple[str, ...] = ()
    #: Its key in the file, and the file's name.
    id: str = ""
    layer: str = ""

    @model_validator(mode="after")
    def _is_one_or_two(self) -> "Drill":
        lines = (self.breaks, self.proves, self.mends)
        if self.both and (any(lines) or self.expects or len(self.both) != 2):
            raise ValueError("a double fault names two drills and has no lines of its own")
        if not self.both and not (all(lines) and self.expects):
            raise ValueError("it must have breaks, proves, mends and expects, or name two drills in both")
        return self


@cache
def load_drills() -> Mapping[str, Drill]:
    """Read all drills, by id. Raises ArbaroError that names the file and the place of a mistake."""
    found: dict[str, Drill] = {}
    for path in sorted(directory().glob("*.yml")):
        for key, drill in read_data(path, "drills", dict[str, Drill]).items():
            if key in found:
                raise ArbaroError(f"{path}: the drill {key} is in {found[key].layer}.yml too.", hint=f"Correct {path}.")
            found[key] = replace(drill, id=key, layer=path.stem)
    for drill in found.values():
        for part in drill.both:
            if part not in found or found[part].both:
                raise ArbaroError(f"The drill {drill.id} names {part} in `both`, which is no single drill.")
    return found


def directory() -> Path:
    """Where the drills' files are."""
    return files_dir() / "drills"


def find_drill(name: str) -> Drill:
    """The drill of this id. Raises ArbaroError."""
    drills = load_drills()
    if name.upper() not in drills:
        raise ArbaroError(f"There is no drill {name!r}.", hint="arbaro drill ls")
    return drills[name.upper()]


def parts_of(drill: Drill) -> Sequence[Drill]:
    """The single faults that a drill consists of: itself, or the two that it names."""
    return [load_drills()[part] for part in drill.both] or [drill]


def needs_of(drill: Drill) -> set[Need]:
    """What must be there for all its parts."""
    return {need for part in parts_of(drill) for need in part.needs}


def draw_drill(drills: Iterable[Drill], level: int | None, seed: int) -> Drill:
    """Draw one of these drills, of this level if one is asked for. The same seed draws the same one."""
    suitable = sorted((one for one in drills if level in (None, one.level)), key=lambda one: one.id)
    if not suitable:
        raise ArbaroError(f"There is no drill of level {level}.", hint="arbaro drill ls")
    return random.Random(seed).choice(suitable)


def filled(text: str, variables: Mapping[str, str]) -> str:
    """A text for a person, with the names of hosts and servers in place of $HOST, $VM and their like."""
    return Template(text).safe_substitute(variables)

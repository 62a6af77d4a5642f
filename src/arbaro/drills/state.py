# SPDX-License-Identifier: Apache-2.0
"""Which drill runs in a cloud: one file in its private directory, on the disk before anything is broken.

A drill must not show in the cloud itself, so this is the one state file of arbaro.
"""

import json
import os
from dataclasses import asdict, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from arbaro.cluster.identity import write_private
from arbaro.datafiles import CLOSED
from arbaro.errors import ArbaroError

FILE = "drill.json"


@dataclass(frozen=True, config=CLOSED)
class Running:
    """The drill that runs: what was drawn, when it began, and how often the person asked."""

    drill: str
    seed: int
    #: Seconds since 1970.
    began: float
    variables: dict[str, str] = field(default_factory=dict)
    hints: int = 0
    #: How many checks found that something lacks.
    checks: int = 0


def load(directory: Path) -> Running | None:
    """Read which drill runs in the cloud of this directory. Raises ArbaroError for a file that is cut."""
    path = directory / FILE
    try:
        return TypeAdapter(Running).validate_python(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, ValidationError) as error:
        raise ArbaroError(
            f"{path} cannot be read: a drill runs in this cloud, and nobody knows which one.",
            why="The disk may have been full, or somebody has edited the file.",
            hint=f"Take the cloud away and make a new one: arbaro down {directory.name}; arbaro up {directory.name}",
        ) from error


def save(directory: Path, running: Running) -> None:
    """Write it; when this returns, it is there also after a power cut."""
    write_private(directory / FILE, json.dumps(asdict(running), indent=1))
    _sync(directory)


def forget(directory: Path) -> None:
    """No drill runs any more."""
    (directory / FILE).unlink(missing_ok=True)
    _sync(directory)


def refuse_second(directory: Path, name: str) -> None:
    """Raise ArbaroError when a drill runs already."""
    running = load(directory)
    if running:
        raise ArbaroError(
            f"A drill runs in the cloud {name} already: {running.drill}.",
            hint=f"arbaro drill hint {name}, or put everything back: arbaro drill stop {name}",
        )


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

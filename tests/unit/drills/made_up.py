# SPDX-License-Identifier: Apache-2.0
"""Drills that make a file in place of breaking a cloud, and the way to hosts, which here is this machine."""

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

from arbaro.cluster.spec import CloudSpec
from arbaro.drills.catalogue import Cause, Drill, find_drill
from arbaro.errors import CommandError
from arbaro.reach import Reach

SPEC = CloudSpec("lab", "zed", 2, "l2isolate", IPv4Network("198.18.0.0/24"), IPv4Network("198.18.1.0/24"))
BASE = find_drill("B01")


def here(reach: Reach, words: Sequence[str], *, stdin: str, timeout: float) -> str:
    done = subprocess.run(words, input=stdin, capture_output=True, text=True)
    if done.returncode:
        raise CommandError(words, where=reach.name, code=done.returncode, output=done.stderr)
    return done.stdout


def made_up(marks: Path, name: str = "Z01", **changes: str) -> Drill:
    """A drill that makes a file."""
    lines = {"breaks": f"touch {marks}/{name}", "proves": f"[ -e {marks}/{name} ]", "mends": f"rm -f {marks}/{name}"}
    return replace(BASE, id=name, expects=(Cause("unit-down", "$HOST"),), **(lines | changes))

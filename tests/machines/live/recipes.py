# SPDX-License-Identifier: Apache-2.0
"""Ramdisk and guests for the live tests: `python -m tests.machines.live.recipes [RECIPE…]` builds what has changed.

It needs the network, which the tests' own namespaces do not have, so it runs before them.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
RECIPES = ("agents/deploy", "guests/tiny", "guests/debian-12")
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "arbaro-machines-tests"
SOURCES = Path("/etc/apt/sources.list.d/debian.sources")


def built(recipe: str) -> Path:
    """Where the present form of this recipe is, once it is built."""
    content = hashlib.sha256()
    for file in sorted(path for path in (ROOT / "images" / recipe).rglob("*") if path.is_file()):
        content.update(file.read_bytes())
    return CACHE / f"{Path(recipe).name}-{content.hexdigest()[:12]}"


def build(recipe: str) -> None:
    """Build it, if it is not."""
    out = built(recipe)
    if out.exists():
        return
    new = out.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    subprocess.run([ROOT / "images" / recipe / "build", new, SOURCES, "bookworm"], check=True)
    new.rename(out)


if __name__ == "__main__":
    for name in sys.argv[1:] or RECIPES:
        build(name)

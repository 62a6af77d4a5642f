# SPDX-License-Identifier: Apache-2.0
"""Where our own files are: the index of clouds.yaml, short-lived credentials, cached tokens."""

import hashlib
import os
import re
from pathlib import Path

import platformdirs

from arbaro.cloudspaths import clouds_places
from arbaro.settings import cache_dir


def index_file() -> Path:
    """Names and kinds in a form that a shell reads by itself; one for each choice of clouds.yaml."""
    return cache_dir() / "env" / f"index-{_choice()}"


def views_dir() -> Path:
    """Our own clouds.yaml files (0600), each with one cloud: for a region, or with a short-lived credential."""
    return platformdirs.user_state_path("arbaro") / "env" / _choice()


def _choice() -> str:
    # By the place, not by the file that is there now: a shell keeps these paths, also when a clouds.yml comes.
    return hashlib.sha256(str(clouds_places()[0]).encode()).hexdigest()[:12]


def tokens_dir() -> Path:
    """Cached tokens (0600 each): in memory if the system gives each user such a place, else among the state."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and Path(runtime).is_dir():
        return Path(runtime) / "arbaro" / "tokens"
    return platformdirs.user_state_path("arbaro") / "env" / "tokens"


def projects_dir() -> Path:
    """The projects that each environment's user may enter, for completion: one file each, one name a line."""
    return cache_dir() / "env" / "projects"


def openstack_words_dir() -> Path:
    """The verbs and options of the openstack client, for completion: a file for each first word, and `.first`."""
    return cache_dir() / "env" / "openstack-words"


def slug(name: str) -> str:
    """A file name for an environment: readable, and different for different names."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name)
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"

# SPDX-License-Identifier: Apache-2.0
"""Where openstacksdk finds clouds.yaml, secure.yaml and clouds-public.yaml.

Its order: the variable, then CONFIG_FILES of openstack/config/loader.py. One difference, on purpose: the current
directory does not count, so that the same files are read and written wherever a person happens to stand.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import platformdirs

#: The variables that choose a file, and those that keep the person's own choice while a switched shell sets the first.
KEPT_CHOICES = {"OS_CLIENT_CONFIG_FILE": "ARBARO_ENV_CLOUDS", "OS_CLIENT_SECURE_FILE": "ARBARO_ENV_SECURE"}
_SUFFIXES = (".yaml", ".yml", ".json")


def clouds_file() -> Path:
    """The clouds.yaml that counts; the first place where a new one would count if there is none."""
    return _first_there(clouds_places())


def secure_file() -> Path:
    """The secure.yaml that counts. It may be in another directory than clouds.yaml, or have another suffix."""
    return _first_there(secure_places())


def clouds_places() -> list[Path]:
    """All places of clouds.yaml; the first that exists counts."""
    return _chosen("OS_CLIENT_CONFIG_FILE") + _places("clouds")


def secure_places() -> list[Path]:
    """All places of secure.yaml; the first that exists counts."""
    return _chosen("OS_CLIENT_SECURE_FILE") + _places("secure")


def vendor_places() -> list[Path]:
    """All places of clouds-public.yaml, which describes providers; the first that exists counts."""
    return _places("clouds-public")


def is_there(path: Path) -> bool:
    """Say whether a file exists, as openstacksdk asks: what cannot be looked at does not exist."""
    try:
        return path.exists()
    except OSError:
        return False


def kept_choices(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables that keep the person's own choice of files, for a process that is moved into an environment."""
    found = {}
    for name, kept in KEPT_CHOICES.items():
        chosen = variables.get(kept) or (not variables.get("ARBARO_ENV") and variables.get(name))
        if chosen:
            found[kept] = chosen
    return found


def _chosen(variable: str) -> list[Path]:
    chosen = kept_choices(os.environ).get(KEPT_CHOICES[variable])
    return [Path(chosen).absolute()] if chosen else []


def _places(stem: str) -> list[Path]:
    system = platformdirs.PlatformDirs("openstack", "OpenStack", multipath=True)
    # Inside a snap, HOME is not the person's home.
    home = Path(os.environ.get("SNAP_REAL_HOME") or Path.home())
    directories = (system.user_config_dir, home / ".config/openstack", system.site_config_dir, "/etc/openstack")
    return list(dict.fromkeys(Path(directory, stem + suffix) for directory in directories for suffix in _SUFFIXES))


def _first_there(places: list[Path]) -> Path:
    return next((path for path in places if is_there(path)), places[0])

# SPDX-License-Identifier: Apache-2.0
"""Where things are on this machine, and the few settings that a person may change (settings.toml)."""

import os
import re
import sys
from dataclasses import dataclass, fields
from functools import cache
from ipaddress import IPv4Network
from pathlib import Path

import platformdirs

from arbaro.errors import ArbaroError

#: RFC 2544's benchmarking range is never routed, so it hides nobody's office network.
DEFAULT_UNDERLAY = IPv4Network("198.18.0.0/15")
NAME_PATTERN = re.compile(r"[a-z][a-z0-9-]{0,19}")


@dataclass(frozen=True)
class Settings:
    """What settings.toml may say. `underlay`: the range from which clouds take their networks, at least a /22."""

    underlay: IPv4Network = DEFAULT_UNDERLAY


@cache
def load_settings() -> Settings:
    """Read settings.toml, or take the defaults. Raises ArbaroError that names the file and what is wrong in it."""
    path = settings_file()
    if not path.exists():
        return Settings()
    import tomllib

    try:
        found = tomllib.loads(path.read_text())
        unknown = set(found) - {field.name for field in fields(Settings)}
        if unknown:
            raise ValueError(f"unknown setting {', '.join(sorted(unknown))}")
        underlay = IPv4Network(found.get("underlay", DEFAULT_UNDERLAY))
        if underlay.prefixlen > 22:
            raise ValueError(f"underlay {underlay} is too small: a /22 or larger is needed")
    except ValueError as error:
        raise ArbaroError(f"{path}: {error}.", hint=f"Correct {path}, or remove it to have the defaults.") from error
    return Settings(underlay)


def settings_file() -> Path:
    """The file in which a person may change the settings."""
    return platformdirs.user_config_path("arbaro") / "settings.toml"


def clouds_dir() -> Path:
    """The directory with one private directory (0700) per personal cloud: secrets, keys, logs."""
    return platformdirs.user_data_path("arbaro") / "clouds"


def cache_dir() -> Path:
    """What may be deleted at any time and is only there to be faster."""
    return platformdirs.user_cache_path("arbaro")


def files_dir() -> Path:
    """The directory that holds ansible/, images/ and drills/: in the wheel, or the checkout that we run from."""
    packaged = Path(__file__).parent / "_files"
    return packaged if packaged.is_dir() else Path(__file__).parents[2]


def check_name(name: str) -> str:
    """Return the cloud's name if it can be one; it becomes part of container and network names."""
    if name in ("build", "images"):
        raise ArbaroError(f"A cloud cannot be called {name!r}: image builds use that name.", hint="arbaro up my-cloud")
    if name.endswith("-provider"):
        raise ArbaroError(
            f"A cloud cannot be called {name!r}: a network of the cloud {name.removesuffix('-provider')!r} is.",
            hint="arbaro up my-cloud",
        )
    if not NAME_PATTERN.fullmatch(name):
        raise ArbaroError(
            f"{name!r} cannot be a cloud's name.",
            why="A name has at most 20 characters: lower-case letters, digits and '-', the first one a letter.",
            hint="arbaro up my-cloud",
        )
    return name


def require_root() -> None:
    """Refuse to go on without root: namespaces, networks and system containers need it."""
    if os.geteuid() != 0:
        raise ArbaroError(
            "Arbaro needs root on this machine, because it makes networks and system containers.",
            hint="Run the same command with sudo.",
        )


def log_file(name: str, verb: str) -> Path:
    """Where the full log of this run goes: one file for each cloud and verb, the newest run last."""
    return platformdirs.user_log_path("arbaro") / f"{name}-{verb}.log"


def openstack_command(*, with_machines: bool = False) -> str:
    """The openstack client as a person can type it here: by name if it is in the PATH, else ours by its path.

    `with_machines` asks for one that knows `openstack machine`: only of ours we know that it does.
    """
    import shutil

    ours, found = Path(sys.executable).with_name("openstack"), shutil.which("openstack")
    suits = found and (not with_machines or Path(found).resolve() == ours.resolve())
    return "openstack" if suits else str(ours)

# SPDX-License-Identifier: Apache-2.0
"""The environments in a person's clouds.yaml and secure.yaml, and all that the files say of one."""

from pathlib import Path
from typing import Any

from arbaro import cloudsfile, cloudstext
from arbaro.cloudspaths import clouds_file, secure_file
from arbaro.envs.environment import Environment, environments_of


def load_environments() -> list[Environment]:
    """All environments. Raises ArbaroError that names the file and the line that is wrong."""
    return environments_of(_mappings(clouds_file()), _mappings(secure_file()))


def _mappings(path: Path) -> dict[str, Any]:
    found = cloudsfile.load(path)
    if not all(isinstance(entry, dict | None) for entry in found.values()):
        raise cloudstext.broken(f"{path}: 'clouds' must be a mapping from names to mappings", path)
    return found


def entry(environment: Environment) -> dict[str, Any]:
    """All that the files say of one environment's cloud, secrets merged in as openstacksdk does."""
    whole = dict(cloudsfile.load(clouds_file())[environment.cloud] or {})
    secret = cloudsfile.load(secure_file()).get(environment.cloud) or {}
    merged = {**whole, **secret}
    merged["auth"] = {**(whole.get("auth") or {}), **(secret.get("auth") or {})}
    return merged


def caches_tokens() -> bool:
    """Say whether openstacksdk is told to keep tokens between two calls."""
    cache = cloudsfile.document(clouds_file()).get("cache")
    return bool(isinstance(cache, dict) and cache.get("auth"))

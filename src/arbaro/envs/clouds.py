# SPDX-License-Identifier: Apache-2.0
"""The environments in a person's clouds.yaml and secure.yaml, and all that the files say of one."""

from typing import Any

from arbaro import cloudsfile
from arbaro.cloudspaths import clouds_file, secure_file
from arbaro.envs.environment import Environment, refuse_faulty


def load_environments() -> list[Environment]:
    """All environments. Raises ArbaroError that names the file and the line that is wrong."""
    # Ours comes first: openstacksdk passes over a broken file, and takes the next.
    if not (cloudsfile.load(clouds_file()) or cloudsfile.load(secure_file())):
        return []
    from arbaro.envs import sdk

    return list(sdk.Clouds().environments())


def write_views(environments: list[Environment]) -> None:
    """Write our own clouds.yaml for each environment that is one of several regions."""
    if any(environment.os_region for environment in environments):
        from arbaro.envs import sdk, views

        views.write_regions(sdk.Clouds(secrets=False), environments)


def entry(environment: Environment) -> dict[str, Any]:
    """All that the files and the vendor's profile say of one environment, its secrets too. Raises ArbaroError."""
    from arbaro.envs import sdk

    refuse_faulty(environment)
    return sdk.Clouds().entry(environment)


def caches_tokens() -> bool:
    """Say whether openstacksdk is told to keep tokens between two calls."""
    cache = cloudsfile.document(clouds_file()).get("cache")
    return bool(isinstance(cache, dict) and cache.get("auth"))

# SPDX-License-Identifier: Apache-2.0
"""How a person gets into the cloud: clouds.yaml and secure.yaml as openstacksdk finds them, and an openrc."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from arbaro import cloudsfile
from arbaro.cloudspaths import clouds_file, secure_file
from arbaro.cluster.identity import Keeper, write_private
from arbaro.cluster.spec import CloudSpec
from arbaro.services import find_service

REGION = "RegionOne"


def auth_url(spec: CloudSpec) -> str:
    """Where keystone answers."""
    return f"http://{spec.public_address}:{find_service('keystone').api}/v3"


def openrc_file(keeper: Keeper) -> Path:
    """The file to source for tools that know only the environment."""
    return keeper.directory / "openrc"


def write_access(spec: CloudSpec, keeper: Keeper) -> None:
    """Write the cloud into clouds.yaml (the password into secure.yaml, 0600) and an openrc; others' entries stay."""
    password = keeper.identity()["keystone_admin_password"]
    entry, secret = entries(spec, password)
    name = spec.cloud_name
    with cloudsfile.locked():
        # Secrets first: an entry without its secret could be used, and would fail.
        cloudsfile.edit(secure_file(), {(name,): secret}, private=True, keep_old=False)
        marks = _marks(cloudsfile.load(clouds_file()), spec)
        cloudsfile.edit(clouds_file(), {(name,): entry | marks}, keep_old=False)
    write_private(openrc_file(keeper), openrc(spec, password))


def forget_access(cloud_name: str) -> None:
    """Take the cloud out of clouds.yaml and secure.yaml; a file that we leave empty goes too, and its directory."""
    with cloudsfile.locked():
        paths = {path: path == secure_file() for path in (clouds_file(), secure_file())}
        for path, private in paths.items():
            cloudsfile.forget(path, cloud_name, private=private)
            with suppress(OSError):
                path.parent.rmdir()


def is_mentioned(cloud_name: str) -> bool:
    """Say whether the person's files name the cloud at all."""
    return any(cloud_name in cloudsfile.load(path) for path in (clouds_file(), secure_file()))


def is_written(spec: CloudSpec, keeper: Keeper) -> bool:
    """Say whether the person's files name the cloud as it is now."""
    if not keeper.identity_file().exists():
        return False
    entry, secret = entries(spec, keeper.identity()["keystone_admin_password"])
    clouds = cloudsfile.load(clouds_file())
    found = clouds.get(spec.cloud_name), cloudsfile.load(secure_file()).get(spec.cloud_name)
    return found == (entry | _marks(clouds, spec), secret) and openrc_file(keeper).exists()


def _marks(clouds: Mapping[str, Any], spec: CloudSpec) -> dict[str, Any]:
    """What `arbaro env mark` wrote into the cloud's entry; it stays."""
    return {key: value for key, value in (clouds.get(spec.cloud_name) or {}).items() if key == "arbaro"}


def entries(spec: CloudSpec, password: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What clouds.yaml and secure.yaml say of the cloud."""
    clouds = {
        "auth": {
            "auth_url": auth_url(spec),
            "username": "admin",
            "project_name": "admin",
            "user_domain_name": "Default",
            "project_domain_name": "Default",
        },
        "region_name": REGION,
        "identity_api_version": 3,
    }
    return clouds, {"auth": {"password": password}}


def openrc(spec: CloudSpec, password: str) -> str:
    """The same as environment variables."""
    values = {
        "OS_AUTH_URL": auth_url(spec),
        "OS_USERNAME": "admin",
        "OS_PASSWORD": password,
        "OS_PROJECT_NAME": "admin",
        "OS_USER_DOMAIN_NAME": "Default",
        "OS_PROJECT_DOMAIN_NAME": "Default",
        "OS_REGION_NAME": REGION,
        "OS_IDENTITY_API_VERSION": "3",
    }
    return (
        f"# {spec.cloud_name}, written by arbaro\nunset OS_CLOUD\n"
        + "".join(f"export {k}={v}\n" for k, v in values.items())
        + f'export no_proxy="${{no_proxy:+$no_proxy,}}{spec.public_address}"\n'
    )

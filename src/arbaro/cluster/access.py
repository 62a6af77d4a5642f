# SPDX-License-Identifier: Apache-2.0
"""How a person gets into the cloud: clouds.yaml and secure.yaml as openstacksdk finds them, and an openrc."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import platformdirs

from arbaro.cluster.identity import Keeper, write_private
from arbaro.cluster.spec import CloudSpec
from arbaro.errors import ArbaroError

REGION = "RegionOne"


def auth_url(spec: CloudSpec) -> str:
    """Where keystone answers."""
    return f"http://{spec.public_address}:5000/v3"


def openrc_file(keeper: Keeper) -> Path:
    """The file to source for tools that know only the environment."""
    return keeper.directory / "openrc"


def write_access(spec: CloudSpec, keeper: Keeper) -> None:
    """Write the cloud into clouds.yaml (the password into secure.yaml, 0600) and an openrc; others' entries stay."""
    password = keeper.identity()["keystone_admin_password"]
    clouds, secrets = entries(spec, password)
    with _locked():
        _edit(_file("clouds.yaml"), lambda found: found.__setitem__(spec.cloud_name, clouds | _marks(found, spec)))
        _edit(_file("secure.yaml"), lambda found: found.__setitem__(spec.cloud_name, secrets))
    write_private(openrc_file(keeper), openrc(spec, password))


def forget_access(cloud_name: str) -> None:
    """Take the cloud out of clouds.yaml and secure.yaml; a file that we leave empty goes too."""
    with _locked():
        for name in ("clouds.yaml", "secure.yaml"):
            if cloud_name in _clouds(_load(_file(name))):
                _edit(_file(name), lambda found: found.pop(cloud_name))


def is_mentioned(cloud_name: str) -> bool:
    """Say whether the person's files name the cloud at all."""
    return any(cloud_name in _clouds(_load(_file(name))) for name in ("clouds.yaml", "secure.yaml"))


def is_written(spec: CloudSpec, keeper: Keeper) -> bool:
    """Say whether the person's files name the cloud as it is now."""
    if not keeper.identity_file().exists():
        return False
    wanted = entries(spec, keeper.identity()["keystone_admin_password"])
    clouds, secure = (_clouds(_load(_file(name))) for name in ("clouds.yaml", "secure.yaml"))
    found = ({**(clouds.get(spec.cloud_name) or {})}, secure.get(spec.cloud_name))
    return found == (wanted[0] | _marks(clouds, spec), wanted[1]) and openrc_file(keeper).exists()


def _marks(clouds: Any, spec: CloudSpec) -> dict[str, Any]:
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


def _file(name: str) -> Path:
    # A link into somebody's dotfiles stays one.
    return (_directory() / name).resolve()


def _directory() -> Path:
    return platformdirs.user_config_path("openstack")


@contextmanager
def _locked() -> Iterator[None]:
    # The directory above is the lock: no file is left behind, and it stays when ours goes.
    directory = _directory()
    directory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(directory.parent, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        directory.mkdir(exist_ok=True, mode=0o700)
        yield
        if not any(directory.iterdir()):
            directory.rmdir()
    finally:
        os.close(handle)


def _load(path: Path) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    if not path.exists():
        return {}
    hint = "Correct the file, then run the same command again."
    try:
        document = YAML().load(path) or {}
    except YAMLError as error:
        raise ArbaroError(f"{path} is not YAML, so nothing was written into it.", why=str(error), hint=hint) from error
    if not isinstance(document, dict) or not isinstance(_clouds(document), dict):
        raise ArbaroError(f"{path} names no clouds, so nothing was written into it.", hint=hint)
    return document


def _clouds(document: dict[str, Any]) -> Any:
    """The clouds of a file that was read; a bare `clouds:` is none of them."""
    return document.get("clouds") or {}


def _edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    import io

    from ruamel.yaml import YAML

    document = _load(path)
    clouds = document["clouds"] = _clouds(document)
    change(clouds)
    if not clouds and list(document) == ["clouds"]:
        path.unlink(missing_ok=True)
        return
    text = io.StringIO()
    YAML().dump(document, text)
    write_private(path, text.getvalue())

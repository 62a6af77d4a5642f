# SPDX-License-Identifier: Apache-2.0
"""The one place where connections to clouds are opened."""

import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from arbaro.errors import ArbaroError
from arbaro.runs import current_run

if TYPE_CHECKING:
    from keystoneauth1.session import Session
    from openstack.connection import Connection


#: What says to which project a login is bound.
_SCOPE = (
    "project_name",
    "project_id",
    "tenant_name",
    "tenant_id",
    "system_scope",
    "trust_id",
    "domain_name",
    "domain_id",
)


class Login:
    """One login as admin of the project admin; each thread that asks has a connection of its own.

    openstacksdk does not promise that threads may share a connection. They may share the token: keystoneauth locks what
    draws it. Each login costs a quarter of a second of the controller's processor, on purpose.
    """

    def __init__(self, auth_url: str, password: str, region: str, patience: int = 0) -> None:
        self._auth_url, self._password, self._region, self._patience = auth_url, password, region, patience
        self._lock = threading.Lock()
        self._of_thread = threading.local()
        self._first: Connection | None = None

    @property
    def connection(self) -> "Connection":
        """This thread's connection; nothing is sent before its first request."""
        if not hasattr(self._of_thread, "connection"):
            with self._lock:
                self._of_thread.connection = self._again() if self._first else self._open()
        connection: Connection = self._of_thread.connection
        return connection

    def _open(self) -> "Connection":
        import openstack

        self._first = openstack.connect(
            load_yaml_config=False,
            load_envvars=False,
            auth_type="password",
            region_name=self._region,
            app_name="arbaro",
            api_timeout=30,
            # "Try again later" (HTTP 503), and keystoneauth does: after 0.5 s, then twice as long each time.
            status_code_retries=self._patience,
            auth={
                "auth_url": self._auth_url,
                "username": "admin",
                "password": self._password,
                "project_name": "admin",
                "user_domain_name": "Default",
                "project_domain_name": "Default",
            },
        )
        return self._first

    def _again(self) -> "Connection":
        """Another connection with the token of the first."""
        from openstack.config.cloud_region import CloudRegion
        from openstack.connection import Connection

        assert self._first is not None
        known = self._first.config
        region = CloudRegion(
            name=known.name,
            region_name=self._region,
            config=known.config,
            auth_plugin=self._first.session.auth,
            app_name="arbaro",
        )
        return Connection(config=region)


def connect(auth_url: str, password: str, *, region: str = "RegionOne", patience: int = 0) -> "Connection":
    """This thread's connection as admin of the project admin; the login is kept for as long as the run goes on.

    `patience` is how often a request that a service cannot answer now (HTTP 503) is sent again. On a busy machine, a
    service says so when its own question to keystone took too long.
    """
    key = ("login", auth_url, password, region, patience)
    return current_run().kept(key, lambda: Login(auth_url, password, region, patience)).connection


@contextmanager
def cloud_errors(hint: str) -> Iterator[None]:
    """Turn what the SDK raises in this block into ArbaroError, with the cloud's own words as the cause."""
    try:
        yield
    except ArbaroError:
        raise
    except _sdk_errors() as error:
        raise ArbaroError("OpenStack refused a request, or did not answer.", why=str(error), hint=hint) from error


def cloud_session(cloud: str, entry: Mapping[str, Any], *, region: str = "", project: str = "") -> "Session":
    """A session with an entry of clouds.yaml, as clients read it; nothing is sent before the first request."""
    import logging

    from openstack.config import OpenStackConfig

    # What goes wrong is raised too; without a handler Python would print it a second time.
    logging.getLogger("keystoneauth").addHandler(logging.NullHandler())
    config = OpenStackConfig(load_yaml_config=False, load_envvars=False, app_name="arbaro")
    config.cloud_config = {"clouds": {cloud: in_project(entry, project)}}
    session: Session = config.get_one(cloud=cloud, **({"region_name": region} if region else {})).get_session()
    session.timeout = 30
    return session


def in_project(entry: Mapping[str, Any], project: str) -> dict[str, Any]:
    """An entry of clouds.yaml with another project, if one is given."""
    if not project:
        return dict(entry)
    rest, auth = ({key: value for key, value in part.items() if key not in _SCOPE} for part in (entry, entry["auth"]))
    return {**rest, "auth": auth | {"project_name": project}}


@contextmanager
def keystone_errors(name: str, auth_url: str) -> Iterator[None]:
    """Turn what logging in raises in this block into ArbaroError that names the environment and what to do."""
    try:
        yield
    except ArbaroError:
        raise
    except _sdk_errors() as error:
        from keystoneauth1.exceptions import ConnectFailure, Unauthorized

        check = f"arbaro env check {name}"
        if isinstance(error, Unauthorized):
            raise ArbaroError(f"Keystone of {name} ({auth_url}) refused the login.", hint=check) from error
        if isinstance(error, ConnectFailure):
            raise ArbaroError(
                f"Keystone of {name} ({auth_url}) cannot be reached.", why=str(error), hint=check
            ) from error
        raise ArbaroError(f"Keystone of {name} refused a request.", why=str(error), hint=check) from error


def _sdk_errors() -> tuple[type[Exception], ...]:
    # Importing the SDK takes a second; where nobody has done it, it has raised nothing.
    if "openstack" not in sys.modules:
        return ()
    from keystoneauth1.exceptions import ClientException
    from openstack.exceptions import SDKException

    return ClientException, SDKException

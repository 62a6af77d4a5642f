# SPDX-License-Identifier: Apache-2.0
"""The one place where connections to clouds are opened."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from arbaro.errors import ArbaroError

if TYPE_CHECKING:
    from openstack.connection import Connection


@cache
def connect(auth_url: str, password: str, *, region: str = "RegionOne") -> "Connection":
    """Open a connection as admin of the project admin, once; nothing is sent before the first request.

    Each new one would have to log in, and keystone makes that take a quarter of a second of processor time on purpose.
    """
    import openstack

    return openstack.connect(
        load_yaml_config=False,
        load_envvars=False,
        auth_type="password",
        region_name=region,
        app_name="arbaro",
        api_timeout=30,
        auth={
            "auth_url": auth_url,
            "username": "admin",
            "password": password,
            "project_name": "admin",
            "user_domain_name": "Default",
            "project_domain_name": "Default",
        },
    )


@contextmanager
def cloud_errors(hint: str) -> Iterator[None]:
    """Turn what the SDK raises in this block into ArbaroError, with the cloud's own words as the cause."""
    try:
        yield
    except ArbaroError:
        raise
    except _sdk_errors() as error:
        raise ArbaroError("OpenStack refused a request, or did not answer.", why=str(error), hint=hint) from error


def _sdk_errors() -> tuple[type[Exception], ...]:
    # Importing the SDK takes a second; where nobody has done it, it has raised nothing.
    if "openstack" not in sys.modules:
        return ()
    from keystoneauth1.exceptions import ClientException
    from openstack.exceptions import SDKException

    return ClientException, SDKException

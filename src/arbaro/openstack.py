# SPDX-License-Identifier: Apache-2.0
"""The one place where connections to clouds are opened."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openstack.connection import Connection


def connect(auth_url: str, password: str, *, region: str = "RegionOne") -> "Connection":
    """Open a connection as admin of the project admin. Nothing is sent before the first request."""
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

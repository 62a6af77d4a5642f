# SPDX-License-Identifier: Apache-2.0
"""What each service's account may do on a real cloud, in keystone, RabbitMQ and MariaDB: its work, and no more."""

import json
import subprocess
from collections.abc import Callable

import pytest
from keystoneauth1.identity import v3
from keystoneauth1.session import Session

from arbaro.cluster.identity import Identity, Keeper, part_for
from arbaro.hosts import COMPUTE
from arbaro.services import load_services

from .conftest import ROOT, Tool

USERS = [service.name for service in load_services() if service.roles]
Ask = Callable[[str, str, str], int]


@pytest.fixture(scope="module")
def identity(cloud: Tool) -> Identity:
    return Keeper(cloud.name).identity()


@pytest.fixture(scope="module")
def ask(cloud: Tool, identity: Identity) -> Ask:
    """Ask a service for a path as the user of another service; returns the HTTP status."""
    sessions: dict[str, Session] = {}

    def ask(user: str, service_type: str, path: str) -> int:
        auth = v3.Password(
            auth_url=f"http://{identity['public_address']}:5000/v3",
            username=user,
            password=identity[f"{user}_service_password"],
            project_name="service",
            user_domain_name="Default",
            project_domain_name="Default",
        )
        session = sessions.setdefault(user, Session(auth=auth))
        filter_ = {"service_type": service_type, "interface": "public"}
        headers = {"OpenStack-API-Version": "placement 1.39"} if service_type == "placement" else {}
        return session.get(path, endpoint_filter=filter_, headers=headers, raise_exc=False).status_code

    return ask


@pytest.mark.parametrize("user", USERS)
def test_no_services_user_administers_keystone(ask: Ask, user: str) -> None:
    for path in ("/v3/users", "/v3/projects", "/v3/role_assignments"):
        assert ask(user, "identity", path) in (401, 403), path


@pytest.mark.parametrize("user", USERS)
def test_a_services_user_has_just_its_roles(cloud: Tool, user: str) -> None:
    words = ["role", "assignment", "list", "--names", "--user", user]
    found = {(row["Role"], row["Project"]) for row in cloud.openstack(*words)}
    roles = next(service.roles for service in load_services() if service.name == user)
    assert found == {(role, "service@Default") for role in roles}


def test_what_a_compute_holds_opens_no_api_for_administrators(cloud: Tool, ask: Ask, identity: Identity) -> None:
    """A compute holds the password of nova's user. With it placement and ports are open; servers and users are not."""
    held = [key.removesuffix("_service_password") for key in part_for(COMPUTE, identity) if "service_password" in key]
    assert held == ["nova"]
    server = cloud.openstack("server", "show", "first-vm")["id"]
    assert ask("nova", "placement", "/resource_providers") == 200
    assert ask("nova", "network", f"/v2.0/ports?device_id={server}") == 200
    assert ask("nova", "compute", f"/servers/{server}") in (403, 404)
    assert ask("nova", "compute", "/servers/detail?all_tenants=1") == 403
    assert ask("nova", "compute", "/os-hypervisors") == 403
    assert ask("nova", "physical-machine", "/v1/machines") == 403
    assert ask("machines", "physical-machine", "/v1/machines") == 200


def test_nova_sees_the_bindings_of_any_projects_ports(cloud: Tool, identity: Identity, ask: Ask) -> None:
    server = cloud.openstack("server", "show", "first-vm")["id"]
    (port,) = cloud.openstack("port", "list", "--server", server, "--long")
    assert ask("nova", "network", f"/v2.0/ports/{port['ID']}/bindings") == 200
    assert ask("glance", "network", f"/v2.0/networks/{port['ID']}") == 404


def test_each_service_has_its_own_vhost(cloud: Tool) -> None:
    queues = [service.name for service in load_services() if service.rabbitmq]
    told = cloud.arbaro("ssh", cloud.name, "controller", "--", "rabbitmqctl --quiet --formatter json list_vhosts")
    assert sorted(row["name"] for row in json.loads(told)) == sorted(queues)
    for name in queues:
        command = f"rabbitmqctl --quiet --formatter json list_permissions -p {name}"
        told = cloud.arbaro("ssh", cloud.name, "controller", "--", command)
        assert [row["user"] for row in json.loads(told)] == [name]
    told = cloud.arbaro("ssh", cloud.name, "controller", "--", "rabbitmqctl --quiet --formatter json list_users")
    assert {row["user"]: row["tags"] for row in json.loads(told)} == {name: [] for name in queues}


def test_each_service_sees_its_own_schemas_only(cloud: Tool, identity: Identity) -> None:
    for service in (service for service in load_services() if service.databases):
        password = identity[f"{service.name}_database_password"]
        login = f"read -r MYSQL_PWD; export MYSQL_PWD; mariadb -BN -h 127.0.0.1 -u {service.name} -e 'SHOW DATABASES'"
        command = [ROOT / "arbaro", "ssh", cloud.name, "controller", "--", login]
        told = subprocess.run(
            command, input=f"{password}\n", capture_output=True, text=True, timeout=60, check=True
        ).stdout
        assert set(told.split()) - {"information_schema"} == set(service.databases)

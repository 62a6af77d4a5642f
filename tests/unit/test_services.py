# SPDX-License-Identifier: Apache-2.0
"""services.yml: its form, what it must not say, and what the roles make of it."""

import json
from collections import Counter
from ipaddress import IPv4Network
from pathlib import Path

import pytest
import yaml
from jinja2 import Environment, FileSystemLoader

from arbaro import datafiles, services
from arbaro.cluster.spec import CloudSpec, memory_of
from arbaro.errors import ArbaroError
from arbaro.services import Service, find_service, load_services
from arbaro.settings import files_dir

ANSIBLE = files_dir() / "ansible"
RAW = yaml.safe_load((ANSIBLE / "services.yml").read_text())["services"]


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ({"nova": {"databses": ["nova"]}}, "services.nova.databses"),
        ({"nova": {"ports": {"api": {"number": "many", "reach": "guests"}}}}, "services.nova.ports.api.number"),
        ({"nova": {"ports": {"api": {"number": 1, "reach": "everybody"}}}}, "services.nova.ports.api.reach"),
        ({"nova": {"roles": "service"}}, "services.nova.roles"),
        ([], "services"),
        ({"nova": {"ports": {"api": 8774}}}, "services.nova.ports.api"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_the_file(tmp_path: Path, entry: object, place: str) -> None:
    file = tmp_path / "services.yml"
    file.write_text(yaml.safe_dump({"services": entry}))
    with pytest.raises(ArbaroError) as error:
        datafiles.read_data(file, "services", dict[str, Service])
    assert str(file) in error.value.what
    assert f"{place}: " in error.value.why


def test_a_file_without_its_key_is_told(tmp_path: Path) -> None:
    file = tmp_path / "services.yml"
    file.write_text("service: {}\n")
    with pytest.raises(ArbaroError, match="`services`"):
        datafiles.read_data(file, "services", dict[str, Service])


def test_no_port_is_two_services() -> None:
    numbers = Counter(port.number for service in load_services() for port in service.ports.values())
    assert set(numbers.values()) == {1}


def test_no_services_user_is_admin() -> None:
    assert not [service.name for service in load_services() if "admin" in service.roles]


def test_whatever_is_in_the_catalogue_has_an_api() -> None:
    assert all("api" in service.ports for service in load_services() if service.type)


def test_a_service_with_policies_is_told_where_they_are() -> None:
    """Placement, for one, looks for another file unless its configuration names this one."""
    policies = yaml.safe_load((ANSIBLE / "releases/zed.yml").read_text())["release"]["policies"]
    for name in policies:
        templates = [file.read_text() for file in (ANSIBLE / "roles" / name / "templates").glob("*.conf.j2")]
        assert f"{{{{ openstack.policies('{name}') }}}}" in "".join(templates)


def render(template: str, **variables: object) -> str:
    """Render a template as Ansible does."""
    directory, _, name = template.rpartition("/")
    places = [ANSIBLE / directory, ANSIBLE / "playbooks/templates"]
    jinja = Environment(loader=FileSystemLoader(places), trim_blocks=True, keep_trailing_newline=True)
    jinja.filters["dict2items"] = lambda mapping: [{"key": key, "value": value} for key, value in mapping.items()]
    return jinja.get_template(name).render(services=RAW, **variables)


def test_nobody_has_a_permission_in_anothers_vhost() -> None:
    hashes = {f"{service.name}_rabbitmq_hash": "hash" for service in services.load_services()}
    made = json.loads(render("roles/rabbitmq/templates/definitions.json.j2", identity=hashes))
    assert [vhost["name"] for vhost in made["vhosts"]] == ["nova", "neutron"]
    assert all(permission["user"] == permission["vhost"] for permission in made["permissions"])
    assert [user["tags"] for user in made["users"]] == ["", ""]


def test_a_service_speaks_in_its_own_vhost() -> None:
    made = render(
        "roles/neutron_l2isolate/templates/l2isolate-agent.ini.j2",
        identity={"neutron_rabbitmq_password": "secret"},
        controller_host="controller",
    )
    assert "transport_url = rabbit://neutron:secret@controller:5672/neutron\n" in made


def test_a_host_needs_the_memory_of_its_services() -> None:
    networks = IPv4Network("198.18.4.0/24"), IPv4Network("198.18.5.0/24")
    plain, machines = (CloudSpec("lab", "zed", 1, "l2isolate", *networks, number).controller for number in (0, 2))
    # What a controller was measured to need before its services were told apart.
    assert 2150 <= memory_of(plain) <= 2250
    assert memory_of(machines) == memory_of(plain) + find_service("machines").memory

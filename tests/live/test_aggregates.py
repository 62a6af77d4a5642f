# SPDX-License-Identifier: Apache-2.0
"""`--hint aggregate_id=…` in a real cloud: where servers land, what a refused one says, and that the hint stays."""

import re
import secrets
import time
from collections.abc import Iterator
from typing import Any

import openstack
import pytest
from openstack.connection import Connection

from .conftest import ROOT, Tool
from .guests import wait_until
from .test_cloud import PRIVATE

# openstacksdk warns of parts of itself that it uses itself.
pytestmark = [
    pytest.mark.filterwarnings(f"ignore::{kind}") for kind in ("DeprecationWarning", "PendingDeprecationWarning")
]
#: A server without a network is up sooner; where it lands is the same.
CREATE = [
    "--os-compute-api-version",
    "2.90",
    "server",
    "create",
    "--image",
    "tiny",
    "--flavor",
    "tiny",
    "--nic",
    "none",
]
REFUSED = "No valid host was found. Scheduling failed: hint aggregate_id: "


@pytest.fixture(scope="module")
def admin(cloud: Tool) -> Iterator[Connection]:
    """Takes away what the tests have made, so that the cloud is as they found it."""
    with openstack.connect(cloud=f"arbaro-{cloud.name}", compute_default_microversion="2.90") as connection:
        yield connection
        for server in connection.compute.servers(name="hinted"):
            connection.delete_server(server.id, wait=True)
        for aggregate in connection.compute.aggregates():
            for host in aggregate.hosts:
                connection.compute.remove_host_from_aggregate(aggregate, host)
            connection.compute.delete_aggregate(aggregate)


@pytest.fixture(scope="module")
def aggregates(admin: Connection) -> dict[str, Any]:
    """One aggregate for each compute, one without hosts, and one for others only."""
    found = {}
    for name, host in {"left": "compute1", "right": "compute2", "empty": "", "closed": "compute1"}.items():
        found[name] = admin.compute.create_aggregate(name=name)
        if host:
            admin.compute.add_host_to_aggregate(found[name], host)
    admin.compute.set_aggregate_metadata(found["closed"], {"hint_projects": "somebody-else"})
    return found


def host_of(admin: Connection, name: str) -> str:
    """Say where a server is."""
    return str(admin.compute.get_server(admin.compute.find_server(name).id).hypervisor_hostname)


def wait_for(admin: Connection, name: str, *states: str, timeout: float = 120) -> Any:
    """Wait until a server is in one of these states and nothing is being done to it."""
    deadline = time.monotonic() + timeout
    while (
        server := admin.compute.get_server(admin.compute.find_server(name).id)
    ).status not in states or server.task_state:
        assert time.monotonic() < deadline, f"{name} is {server.status}, {server.task_state}"
        time.sleep(1)
    return server


def fault_of(cloud: Tool, admin: Connection, name: str) -> str:
    """What `openstack server show ID` says of a server in ERROR; nova writes the cause down a moment after the state."""
    server_id = admin.compute.find_server(name).id
    for _ in range(10):
        if fault := cloud.openstack("server", "show", server_id).get("fault"):
            return str(fault["message"])
    return "no fault"


def test_a_server_lands_in_the_aggregate_that_the_hint_names(
    cloud: Tool, admin: Connection, aggregates: dict[str, Any]
) -> None:
    by_id, by_uuid = aggregates["right"].id, aggregates["left"].uuid
    cloud.openstack(*CREATE, "--availability-zone", "nova", "--hint", f"aggregate_id={by_id}", "hinted-right")
    cloud.openstack(*CREATE, "--hint", f"aggregate_id={by_uuid}", "hinted-left")
    for name, host in (("hinted-right", "compute2"), ("hinted-left", "compute1")):
        wait_for(admin, name, "ACTIVE")
        assert host_of(admin, name) == host


def test_a_hint_of_no_use_ends_in_error_and_the_server_says_why(
    cloud: Tool, admin: Connection, aggregates: dict[str, Any]
) -> None:
    for number, why in ((4711, "does not exist"), (aggregates["empty"].id, "has no hosts")):
        name = f"hinted-{number}"
        cloud.openstack(*CREATE, "--hint", f"aggregate_id={number}", name)
        wait_for(admin, name, "ERROR", timeout=30)
        assert fault_of(cloud, admin, name) == f"{REFUSED}aggregate {number} {why}."


def test_an_aggregate_for_others_is_refused_to_a_project_and_not_to_an_operator(
    cloud: Tool, admin: Connection, aggregates: dict[str, Any]
) -> None:
    number = aggregates["closed"].id
    with Somebody(admin) as somebody:
        server = somebody.compute.create_server(
            name="hinted-closed",
            image_id=admin.image.find_image("tiny").id,
            flavor_id=admin.compute.find_flavor("tiny").id,
            networks="none",
            scheduler_hints={"aggregate_id": str(number)},
        )
        server = somebody.compute.wait_for_server(server, status="ERROR", failures=["ACTIVE"], wait=30)
        project = somebody.current_project_id
        message = somebody.compute.get_server(server.id).fault["message"]
        assert message == f"{REFUSED}aggregate {number} may not be named by project {project}."
        somebody.delete_server(server.id, wait=True)
    cloud.openstack(*CREATE, "--hint", f"aggregate_id={number}", "hinted-operator")
    wait_for(admin, "hinted-operator", "ACTIVE")


def test_the_hint_holds_when_a_server_moves(cloud: Tool, admin: Connection, aggregates: dict[str, Any]) -> None:
    server = admin.compute.find_server("hinted-right")
    # There is another compute, but it is not in the aggregate.
    admin.compute.migrate_server(server)
    wait_for(admin, "hinted-right", "ACTIVE")
    done = [one for one in admin.compute.server_actions(server) if one.action == "migrate"]
    assert "No valid host" in str(admin.compute.get_server_action(done[0].request_id, server).events)
    assert host_of(admin, "hinted-right") == "compute2"
    admin.compute.shelve_server(server)
    wait_for(admin, "hinted-right", "SHELVED_OFFLOADED")
    admin.compute.remove_host_from_aggregate(aggregates["right"], "compute2")
    admin.compute.add_host_to_aggregate(aggregates["right"], "compute1")
    admin.compute.unshelve_server(server)
    wait_for(admin, "hinted-right", "ACTIVE")
    assert host_of(admin, "hinted-right") == "compute1"


def test_status_finds_an_aggregate_that_placement_has_lost_and_what_it_says_mends_it(
    cloud: Tool, aggregates: dict[str, Any]
) -> None:
    # A server has just moved, and a busy machine's APIs may take their time.
    wait_until(lambda: cloud.findings() == [], "all is well")
    cloud.on("controller", "mysql placement -e 'DELETE FROM resource_provider_aggregates'")
    findings = cloud.findings()
    assert {finding.where for finding in findings} >= {f"aggregate {aggregates['left'].id} (left)"}
    words = findings[0].run.split()
    assert words[-1] == "sync_aggregates"
    cloud.arbaro(*words[1:])
    wait_until(lambda: cloud.findings() == [], "all well again")


@pytest.mark.soak
def test_the_benchmark_runs_small(cloud: Tool) -> None:
    size = [
        "--computes",
        "60",
        "--aggregates",
        "6",
        "--candidates",
        "3",
        "--hinted",
        "20",
        "--unhinted",
        "3",
        "--all-services",
        "20",
        "--fresh",
        "1",
        "--alone",
        "9",
    ]
    python = str(ROOT / ".venv/bin/python")
    command = [python, "benchmarks/scheduling", cloud.name, *size, "--faster", "0"]
    printed = cloud.run(command, timeout=300)
    rows = {row[0]: row[1:] for line in printed.splitlines() if (row := re.findall(r"[^|]+", line.replace(" ", "")))}
    assert rows["withahint"][-2:] == ["0", "0"]
    # The cloud's own nova-scheduler was away, and has to say again that it lives.
    wait_until(lambda: cloud.findings() == [], "all well again", 60)


class Somebody:
    """An ordinary user in a project of its own, for a while."""

    def __init__(self, admin: Connection) -> None:
        self.admin = admin

    def __enter__(self) -> Connection:
        identity, password = self.admin.identity, secrets.token_urlsafe()
        self.project = identity.create_project(name="elsewhere", domain_id="default")
        self.user = identity.create_user(
            name="somebody", password=password, domain_id="default", default_project_id=self.project.id
        )
        identity.assign_project_role_to_user(self.project, self.user, identity.find_role("member"))
        auth_url = re.search(r"OS_AUTH_URL=['\"]?([^'\"\s]+)", (PRIVATE / "openrc").read_text())
        assert auth_url
        return openstack.connect(
            load_yaml_config=False,
            load_envvars=False,
            region_name="RegionOne",
            compute_default_microversion="2.90",
            auth={
                "auth_url": auth_url[1],
                "username": "somebody",
                "password": password,
                "project_name": "elsewhere",
                "user_domain_id": "default",
                "project_domain_id": "default",
            },
        )

    def __exit__(self, *_: object) -> None:
        self.admin.identity.delete_user(self.user)
        self.admin.identity.delete_project(self.project)

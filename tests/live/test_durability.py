# SPDX-License-Identifier: Apache-2.0
"""What was acknowledged survives: services and hosts killed, the cloud stopped and started, its server included."""

from .conftest import Tool
from .guests import wait_until

#: How long a whole cloud may take to be itself again.
SECONDS = 240


def is_well(cloud: Tool) -> bool:
    return cloud.findings() == []


def test_services_killed_with_9_come_back_with_all_they_had(cloud: Tool) -> None:
    cloud.openstack("keypair", "create", "--type", "ssh", "survivor", "--public-key", str_key(cloud))
    for service in ("mariadb", "rabbitmq-server", "nova-conductor", "neutron-server"):
        cloud.on("controller", f"systemctl kill --signal=KILL {service}")
    wait_until(lambda: is_well(cloud), "all well again", SECONDS)
    assert "survivor" in [key["Name"] for key in cloud.openstack("keypair", "list")]


def test_a_controller_killed_with_9_comes_back_with_all_it_had(cloud: Tool) -> None:
    cloud.openstack("flavor", "create", "--ram", "64", "--disk", "1", "survivor")
    cloud.run(["podman", "kill", "arbaro-test-controller"])
    assert not is_well(cloud)
    cloud.arbaro("start", "test")
    wait_until(lambda: is_well(cloud), "all well again", SECONDS)
    assert "survivor" in [flavor["Name"] for flavor in cloud.openstack("flavor", "list")]


def test_hosts_that_died_with_their_monitors_are_started_again(cloud: Tool) -> None:
    """What kills a whole session kills them so; podman 4.3 goes on to call them running."""
    names = ("arbaro-test-tor2", "arbaro-test-compute2")
    asked = cloud.run(["podman", "inspect", *names, "--format", "{{.State.ConmonPid}} {{.State.Pid}}"])
    cloud.run(["kill", "-KILL", *asked.split()])
    seen = cloud.status()
    hosts = {item["name"]: item["state"] for item in seen["items"] if item["kind"] == "host"}
    assert (hosts["tor2"], hosts["compute2"], hosts["tor1"]) == ("exited", "exited", "running")
    causes = {finding["key"] for finding in seen["findings"] if not finding["consequence_of"]}
    assert causes == {"host-down/tor2", "host-down/compute2"}
    cloud.arbaro("up", "test")
    wait_until(lambda: is_well(cloud), "all well again", SECONDS)


def test_stop_and_start_bring_the_server_back(cloud: Tool) -> None:
    cloud.arbaro("stop", "test")
    states = {item["state"] for item in cloud.status()["items"] if item["kind"] == "host"}
    assert states == {"exited"}
    cloud.arbaro("start", "test")
    address = next(iter(cloud.openstack("server", "show", "first-vm")["addresses"].values()))[0]
    wait_until(
        lambda: " 0% packet loss" in cloud.run(["ping", "-c", "1", "-W", "1", address], code=None), "ping", SECONDS
    )
    # The new boot has a new host key; `up` finds it on the console, and the script has run again.
    assert "Hello from first-vm" in cloud.arbaro("up", "test")


def str_key(cloud: Tool) -> str:
    path = "/tmp/arbaro-survivor"
    cloud.run(["sh", "-c", f"rm -f {path} {path}.pub; ssh-keygen -q -t ed25519 -N '' -f {path}"])
    return f"{path}.pub"

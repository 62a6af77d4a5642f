# SPDX-License-Identifier: Apache-2.0
"""Users may call their things as `up` calls its own: a second run still finds what is the admin's."""

from collections.abc import Iterator

import pytest

from .conftest import Tool

PROJECT = "namesake"


@pytest.fixture
def namesakes(cloud: Tool) -> Iterator[None]:
    """A project with a network, a subnet and a security group of the names that `up` uses."""
    cloud.openstack("project", "create", "--or-show", PROJECT)
    made = []
    for name in ("provider", "pm"):
        network = ["network", "create", "--project", PROJECT, "--provider-network-type", "l2isolate", name]
        made.append(cloud.openstack(*network)["id"])
    group = cloud.openstack("security", "group", "create", "--project", PROJECT, "ping-and-ssh")["id"]
    yield
    cloud.do("network", "delete", *made)
    cloud.do("security", "group", "delete", group)
    cloud.do("project", "delete", PROJECT)


def test_a_second_up_finds_its_own(cloud: Tool, namesakes: None) -> None:
    assert "Hello from first-vm" in cloud.arbaro("up", cloud.name)

# SPDX-License-Identifier: Apache-2.0
"""The network that is not the default still makes a cloud; it has images of its own, so this takes minutes (`make soak`)."""

from collections.abc import Iterator

import pytest

from .conftest import Tool

pytestmark = pytest.mark.soak


@pytest.fixture
def flat(tool: Tool) -> Iterator[str]:
    yield tool.arbaro("up", "flat", "--network", "linuxbridge", "--computes", "1")
    tool.arbaro("down", "flat")


def test_a_flat_network_instead(tool: Tool, flat: str) -> None:
    assert "Hello from first-vm" in flat
    assert tool.status("flat")["findings"] == []
    agents = {agent["Binary"] for agent in tool.openstack("network", "agent", "list", cloud="arbaro-flat")}
    assert agents == {"neutron-linuxbridge-agent", "neutron-dhcp-agent", "neutron-metadata-agent"}

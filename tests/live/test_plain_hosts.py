# SPDX-License-Identifier: Apache-2.0
"""site.yml over SSH makes the same cloud of plain Debian hosts; a second run changes nothing.

The hosts are system containers made from the bare base image, without anything that our baked images hold.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from arbaro.cluster.cloud import Cloud, Wish, wanted_cloud
from arbaro.cluster.providers.podman import Podman
from arbaro.hosts import hosts_file
from tests.providers.contract import carry_out

from .conftest import Tool
from .test_cloud import play

# Soak, because it installs all packages twice over: 8 to 20 minutes.
pytestmark = pytest.mark.soak
NAME = "plain"


@pytest.fixture
def plain_hosts(cloud: Tool) -> Iterator[Cloud]:
    """One controller and one compute with nothing but Debian and sshd on them."""
    provider = Podman()
    plain = wanted_cloud(Wish(NAME, computes=1), provider)
    carry_out(provider.ground(plain.spec))
    plain.keeper.prepare(plain.spec.addresses, plain.spec.hosts)
    for host in plain.spec.hosts:
        files = {
            "/etc/hosts": (0o644, hosts_file([host]).encode()),
            # The hosts live for minutes: dpkg need not wait for the disk.
            "/etc/dpkg/dpkg.cfg.d/unsafe-io": (0o644, b"force-unsafe-io\n"),
            **plain.keeper.host_keys(host),
        }
        provider.create_host(plain.spec, host, plain.images.base, files)
        provider.start_host(NAME, host.name)
    carry_out(provider.junction(plain.spec))
    # Two clouds at work at once are more than two cores need to bear.
    cloud.arbaro("stop", "test")
    yield plain
    cloud.arbaro("down", NAME)
    cloud.arbaro("start", "test")


def test_site_yml_makes_the_same_cloud(cloud: Tool, plain_hosts: Cloud, tmp_path: Path) -> None:
    first = play(cloud, "site.yml", tmp_path, name=NAME)
    assert all(facts["changed"] > 10 for facts in first.values())
    second = play(cloud, "site.yml", tmp_path, name=NAME)
    assert {host: facts["changed"] for host, facts in second.items()} == dict.fromkeys(second, 0)
    # `up` finds the hosts running, and proves that this is a cloud as any other.
    assert "Hello from first-vm" in cloud.arbaro("up", NAME)
    assert cloud.status(NAME)["findings"] == []

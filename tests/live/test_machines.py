# SPDX-License-Identifier: Apache-2.0
"""A whole physical machine by the command that gives a virtual one, from its empty disk to the user script's output.

The machines are emulated (libvirt behind sushy-tools' Redfish, an empty disk each), all else is real: keystone, nova, placement,
neutron, glance, the machine service with its database in MariaDB, the ramdisk.
"""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from arbaro.cluster.cloud import Wish, wanted_cloud
from arbaro.cluster.providers.podman import Podman

from .conftest import ROOT, Tool
from .rack import Rack

pytestmark = pytest.mark.soak  # until it has been seen green on a clean machine

SCRIPT = "#!/bin/sh\necho 'SCRIPT SAYS hello from a machine' >/dev/console\n"
FLAVOR = [
    "--vcpus", "2", "--ram", "768", "--disk", "4",
    *("--property", "resources:VCPU=0", "--property", "resources:MEMORY_MB=0", "--property", "resources:DISK_GB=0"),
    *("--property", "resources:CUSTOM_PM_SMALL=1"),
]  # fmt: skip


def wait_for(what: str, look: Callable[[], object], seconds: float) -> None:
    """Look until it is so; says the last thing seen if it never is."""
    deadline = time.monotonic() + seconds
    while (seen := look()) is not True:
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}; last: {seen}"
        time.sleep(2)


@pytest.fixture(scope="module")
def rack(cloud: Tool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rack]:
    """Two machines, enrolled and in the stock."""
    scratch = Path(os.environ.get("ARBARO_TEST_BUNDLES") or tmp_path_factory.mktemp("bundles"))
    ramdisk = scratch / "ramdisk"
    if not ramdisk.exists():
        ramdisk.mkdir()
        sources = "/etc/apt/sources.list.d/debian.sources"
        cloud.run([str(ROOT / "images/agents/deploy/build"), str(ramdisk), sources, "bookworm"])
    one = Rack(wanted_cloud(Wish(cloud.name), Podman()), 2, scratch, ramdisk)
    one.start()
    one.play()
    one.enrol()
    yield one
    cloud.run(["ip", "route", "del", str(one.network)], code=None)


@pytest.fixture(scope="module")
def network(cloud: Tool, rack: Rack) -> str:
    """Neutron's view of the machines' network: no DHCP, so the config drive tells the address."""
    cloud.client(
        "network", "create", "--share", "--provider-network-type", "flat", "--provider-physical-network", "rack", "pm"
    )
    pool = f"start={rack.network[16]},end={rack.network[-2]}"
    cloud.openstack(
        "subnet", "create", "--network", "pm", "--subnet-range", str(rack.network), "--gateway", str(rack.gateway),
        "--allocation-pool", pool, "--no-dhcp", "pm",
    )  # fmt: skip
    cloud.openstack("flavor", "create", "pm.small", *FLAVOR)
    return "pm"


@pytest.fixture(scope="module")
def image(cloud: Tool, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The guest tiny on a disk that boots by itself."""
    built = next(Path.home().glob(".cache/arbaro/guests/tiny-*"))
    disk = tmp_path_factory.mktemp("image") / "tiny.raw"
    cloud.run([str(ROOT / "tests/machines/live/tiny-disk"), f"{built}/vmlinuz", f"{built}/initrd", str(disk)])
    cloud.openstack("image", "create", "tiny-disk", "--disk-format", "raw", "--file", str(disk))
    return "tiny-disk"


def server(cloud: Tool, name: str) -> dict[str, object]:
    """Show a server."""
    return cloud.openstack("server", "show", name)


def test_machine_runs_the_user_script(cloud: Tool, rack: Rack, network: str, image: str, tmp_path: Path) -> None:
    (tmp_path / "userscript.sh").write_text(SCRIPT)
    began = time.monotonic()
    cloud.openstack(
        "server", "create", "--image", image, "--flavor", "pm.small", "--network", network,
        "--key-name", "arbaro", "--user-data", str(tmp_path / "userscript.sh"), "testpm",
    )  # fmt: skip
    wait_for("testpm to be built", lambda: (seen := server(cloud, "testpm"))["status"] == "ACTIVE" or seen, 300)
    print(f"\nACTIVE after {time.monotonic() - began:.0f} s")
    node = server(cloud, "testpm")["OS-EXT-SRV-ATTR:hypervisor_hostname"]
    number = rack.number_of(str(node))
    wait_for("the script's output", lambda: "SCRIPT SAYS hello" in (said := rack.console(number)) or said[-500:], 120)
    print(f"script's output after {time.monotonic() - began:.0f} s")
    assert "command not found" not in rack.console(number)


def test_machine_is_wiped_and_given_out_again(cloud: Tool, rack: Rack, network: str, image: str) -> None:
    cloud.client("server", "delete", "--wait", "testpm")
    wait_for("two machines in the stock", lambda: (seen := rack.states()) == ["available"] * 2 or seen, 300)

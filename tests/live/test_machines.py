# SPDX-License-Identifier: Apache-2.0
"""A whole physical machine by the command that gives a virtual one, from its empty disk to the user script's output.

The machines are emulated (libvirt behind sushy-tools' Redfish, an empty disk each), all else is real: keystone, nova, placement,
neutron, glance, the machine service with its database in MariaDB, the ramdisk.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from arbaro.cluster.cloud import existing_cloud
from arbaro.cluster.providers.podman import Podman
from arbaro.cluster.rack import Rack

from .conftest import Tool

pytestmark = pytest.mark.soak  # until it has been seen green

NAME = "metal"
SCRIPT = "#!/bin/sh\necho 'SCRIPT SAYS hello from a machine' >/dev/console\n"


def wait_for(what: str, look: Callable[[], object], seconds: float) -> None:
    """Look until it is so; says the last thing seen if it never is."""
    deadline = time.monotonic() + seconds
    while (seen := look()) is not True:
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}; last: {seen}"
        time.sleep(2)


@pytest.fixture(scope="module")
def metal(tool: Tool) -> Iterator[Rack]:
    """A cloud of its own, with two machines."""
    tool.arbaro("up", NAME, "--computes", "1", "--machines", "2")
    yield existing_cloud(NAME, Podman()).rack
    tool.arbaro("down", NAME)


def client(tool: Tool, *words: str) -> Any:
    """Run the real client in this cloud."""
    return tool.openstack(*words, cloud=f"arbaro-{NAME}")


def console(tool: Tool, machine: str) -> str:
    """Read what a machine said on its serial console."""
    return tool.arbaro("ssh", NAME, "rack", "--", "cat", f"/var/lib/rack/consoles/{machine}")


def states(rack: Rack) -> list[str]:
    """List the machines' states."""
    return [machine["state"] for machine in rack.machines().values()]


def test_a_second_up_skips_all_steps(tool: Tool, metal: Rack) -> None:
    assert states(metal) == ["available"] * 2
    began = time.monotonic()
    tool.arbaro("up", NAME)
    assert time.monotonic() - began < 30
    assert tool.status(NAME)["findings"] == []


def test_machine_runs_the_user_script(tool: Tool, metal: Rack, tmp_path: Path) -> None:
    (tmp_path / "userscript.sh").write_text(SCRIPT)
    began = time.monotonic()
    client(
        tool, "server", "create", "--image", "tiny-disk", "--flavor", "pm.small", "--network", "pm",
        "--key-name", "arbaro", "--user-data", str(tmp_path / "userscript.sh"), "testpm",
    )  # fmt: skip

    def server() -> Any:
        return client(tool, "server", "show", "testpm")

    wait_for("testpm to be built", lambda: (seen := server())["status"] == "ACTIVE" or seen, 300)
    print(f"\nACTIVE after {time.monotonic() - began:.0f} s")
    node = server()["OS-EXT-SRV-ATTR:hypervisor_hostname"]
    name = next(name for name, machine in metal.machines().items() if machine["id"] == node)
    wait_for("the script's output", lambda: "SCRIPT SAYS hello" in (said := console(tool, name)) or said[-500:], 120)
    print(f"script's output after {time.monotonic() - began:.0f} s")


def test_machine_is_wiped_and_given_out_again(tool: Tool, metal: Rack) -> None:
    tool.run([".venv/bin/openstack", "--os-cloud", f"arbaro-{NAME}", "server", "delete", "--wait", "testpm"])
    wait_for("two machines in the stock", lambda: (seen := states(metal)) == ["available"] * 2 or seen, 300)

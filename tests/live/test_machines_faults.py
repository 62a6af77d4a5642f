# SPDX-License-Identifier: Apache-2.0
"""All that may break while a server is put on a machine (troubles.py), and kills of the services in the middle.

Each fault ends in ERROR within its time (docs/reference/machines-api.md), with cause and next step in `openstack server show`, and the
machine is back in the stock when it is mended. Kills are gone on from. The quick ones are in test_machines.py too.
"""

import time
from pathlib import Path
from typing import Any

import pytest

from .metal import Metal, wait_for
from .troubles import MACHINE, TROUBLES, Trouble, break_it, bring_back, on_this_machine, spoil_image

# Soak, for the time that ten faults and five kills take.
pytestmark = pytest.mark.soak

SCRIPT = "#!/bin/sh\necho SCRIPT SAYS still here\n"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    file = tmp_path / "userscript.sh"
    file.write_text(SCRIPT)
    return file


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.name)
def test_fault_ends_in_error_with_its_cause_and_what_to_do(metal: Metal, script: Path, trouble: Trouble) -> None:
    break_it(metal, script, trouble)


@pytest.mark.parametrize("code", ["checksum-wrong", "image-unusable"])
def test_bad_image_ends_in_error_with_its_cause_and_what_to_do(
    metal: Metal, script: Path, tmp_path: Path, code: str
) -> None:
    spoil_image(metal, script, tmp_path / "image", code)


@pytest.mark.parametrize(
    "units",
    [
        ("arbaro-machines-worker",),
        ("arbaro-machines-api",),
        ("nova-compute-machines",),
        ("arbaro-machines-worker", "arbaro-machines-api", "nova-compute-machines"),
        ("mariadb",),
    ],
    ids=lambda units: "+".join(units),
)
def test_killed_at_each_step_of_a_deployment_it_is_gone_on_with(
    metal: Metal, script: Path, units: tuple[str, ...]
) -> None:
    """kill -9 whenever the deployment has come to another step: the server becomes ACTIVE, its machine was written once."""
    server, seen = "tough", set()
    metal.create(server, script, *on_this_machine(metal))
    began = time.monotonic()
    metal.on("rack", f": >/var/lib/rack/consoles/{MACHINE}")
    while (machine := look_patiently(metal))["state"] != "active" or machine["task"]:
        step = (machine["task"] or {}).get("step")
        if machine["state"] == "deploying" and step and step not in seen:
            seen.add(step)
            metal.on("controller", f"systemctl kill --signal=KILL {' '.join(units)}")
        assert machine["state"] in ("available", "reserved", "deploying", "active"), machine
        assert time.monotonic() < began + 300, machine
        time.sleep(0.2)
    # nova says ERROR for a moment, after nova-compute has started anew.
    wait_for("the server to be ACTIVE", lambda: metal.server(server)["status"] == "ACTIVE", 120)
    found = metal.server(server)
    assert "still here" in metal.script_log(found, "SCRIPT SAYS")
    print(f"\nkilled at {', '.join(sorted(seen))}: done after {time.monotonic() - began:.0f} s")
    assert len(seen) >= 3
    assert metal.console(MACHINE).count("task: deploy") == 1
    metal.do("server", "delete", "--wait", server)
    bring_back(metal)


def look_patiently(metal: Metal) -> dict[str, Any]:
    """Look at the machine while its API may just be starting."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return metal.machine(MACHINE)
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)

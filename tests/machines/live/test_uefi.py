# SPDX-License-Identifier: Apache-2.0
"""The real ramdisk started by real UEFI firmware (OVMF), on a machine that Redfish first has to turn from BIOS to UEFI.

What sushy-tools calls HTTP boot is its own: it fetches the address itself and lays what it finds into the CD drive.
"""

import re

from arbaro_machines.database.models import Machine, Task
from arbaro_machines.sealing import Seal
from sqlalchemy import select, update

from ..site import wait_for
from .metal import Metal, run

#: What OVMF says on the console when it hands over; SeaBIOS says nothing of the kind.
HANDED_OVER = "BdsDxe: starting Boot"


def written_again(metal: Metal, method: str) -> None:
    """Have m1 wiped once more, by another way to boot."""
    with metal.store.writing() as session:
        session.execute(update(Machine).where(Machine.name == "m1").values(written=True, state="inspected"))
    body = {"boot": {"method": method, "firmware": "uefi"}}
    metal.operator.call("PATCH", "/v1/machines/m1", body, status=200, If_Match="*")
    metal.operator.call("POST", "/v1/machines/m1/provide", status=202)


def starts(metal: Metal) -> tuple[int, int]:
    """How often UEFI has handed over, and how often the ramdisk has then wiped."""
    return metal.console(1).count(HANDED_OVER), metal.console(1).count("wiping vda")


def test_uefi_starts_the_ramdisk_from_the_cd_then_by_address(metal: Metal) -> None:
    assert "<loader type='rom'>" in run("virsh", "dumpxml", "m1")
    name = metal.enrol(1, boot={"method": "virtual-media", "firmware": "uefi"})
    metal.operator.call("POST", f"/v1/machines/{name}/inspect", status=202)
    metal.wait(name, "inspected")
    metal.operator.call("POST", f"/v1/machines/{name}/provide", status=202)
    metal.wait(name, "available", seconds=400)
    assert "OVMF_CODE" in run("virsh", "dumpxml", "m1")
    assert starts(metal) == (1, 1)
    written_again(metal, "http")
    metal.wait(name, "available", seconds=400)
    assert starts(metal) == (2, 2)


def test_uefi_fetches_the_cd_by_http_itself(metal: Metal) -> None:
    """As it does for a BMC that passes HttpBootUri on. Here DHCP tells it the address."""
    written_again(metal, "network")
    with metal.store.reading() as session:
        task_id = session.scalar(select(Task.id))
    wait_for("the start", lambda: metal.show("m1")["task"]["step"] == "hear-first-word")
    with metal.store.writing() as session:
        # Only by its own way to boot does a task hand out its CD: here the DHCP server stands for a BMC's HttpBootUri.
        task = session.get_one(Task, task_id)
        task.notes = task.notes | {"medium": "http"}
    token = Seal.from_file(metal.directory / "key").token(str(task_id))
    metal.name_boot_address(f"{metal.agent_url}/v1/agent/{token}/deploy.iso")
    metal.wait("m1", "available", seconds=400)
    assert starts(metal) == (3, 3)
    assert re.search(f'{HANDED_OVER}\\d+ "UEFI HTTPv4', metal.console(1))

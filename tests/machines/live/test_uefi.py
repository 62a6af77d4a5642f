# SPDX-License-Identifier: Apache-2.0
"""The real ramdisk started by real UEFI firmware (OVMF), on a machine that Redfish first has to turn from BIOS to UEFI.

What sushy-tools calls HTTP boot is its own: it fetches the address itself and lays what it finds into the CD drive.
"""

from arbaro_machines.database.models import Machine
from sqlalchemy import update

from .metal import Metal, run

#: What OVMF says on the console when it hands over; SeaBIOS says nothing of the kind.
HANDED_OVER = "BdsDxe: starting Boot"


def test_uefi_starts_the_ramdisk_from_the_cd_then_by_address(metal: Metal) -> None:
    assert "<loader type='rom'>" in run("virsh", "dumpxml", "m1")
    name = metal.enrol(1, boot={"method": "virtual-media", "firmware": "uefi"})
    metal.operator.call("POST", f"/v1/machines/{name}/inspect", status=202)
    metal.wait(name, "inspected")
    metal.operator.call("POST", f"/v1/machines/{name}/provide", status=202)
    metal.wait(name, "available", seconds=400)
    assert "OVMF_CODE" in run("virsh", "dumpxml", "m1")
    starts = metal.console(1).count(HANDED_OVER)
    assert (starts, metal.console(1).count("wiping vda")) == (1, 1)
    with metal.store.writing() as session:
        session.execute(update(Machine).where(Machine.name == name).values(written=True, state="inspected"))
    body = {"boot": {"method": "http", "firmware": "uefi"}}
    metal.operator.call("PATCH", f"/v1/machines/{name}", body, status=200, If_Match="*")
    metal.operator.call("POST", f"/v1/machines/{name}/provide", status=202)
    metal.wait(name, "available", seconds=400)
    assert (metal.console(1).count(HANDED_OVER), metal.console(1).count("wiping vda")) == (2, 2)

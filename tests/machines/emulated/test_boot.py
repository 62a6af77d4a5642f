# SPDX-License-Identifier: Apache-2.0
"""Each way to boot, as real sushy asks the emulator's real Redfish for it. Made up is what the firmware does with it.

Real firmware (OVMF, SeaBIOS) in emulated machines is tried in tests/machines/live.
"""

from typing import Any

import pytest
import requests
from arbaro_machines.faults import BmcTrouble
from arbaro_machines.redfish import Bmc

from ..site import Site, wait_for
from ..standin import AUTH

pytestmark = pytest.mark.emulator


def deploy(site: Site, name: str, image: dict[str, Any]) -> None:
    site.alice.call("POST", f"/v1/machines/{name}/deploy", {"image": image}, status=202)
    site.wait(name, "active")
    assert site.hardware.disks[name]["written"] >= 1


@pytest.mark.parametrize(
    ("boot", "booted"),
    [
        ({"method": "virtual-media", "firmware": "uefi"}, ("Cd", "UEFI")),
        ({"method": "virtual-media", "firmware": "bios"}, ("Cd", "Legacy")),
        ({"method": "network", "firmware": "uefi"}, ("Pxe", "UEFI")),
        ({"method": "network", "firmware": "bios"}, ("Pxe", "Legacy")),
        # The emulator's BMC fetches the CD from the address, and boots it.
        ({"method": "http", "firmware": "uefi"}, ("Cd", "UEFI")),
    ],
)
def test_boots_as_asked(site: Site, number: int, image, boot: dict[str, str], booted: tuple[str, str]) -> None:
    name = site.held(number, boot=boot)
    deploy(site, name, image)
    assert site.hardware.booted[name] == booted


def test_from_bios_to_uefi_though_bios_offers_no_http(site: Site, number: int, image) -> None:
    name = site.held(number, boot={"method": "virtual-media", "firmware": "bios"})
    deploy(site, name, image)
    body = {"boot": {"method": "http", "firmware": "uefi"}}
    site.operator.call("PATCH", f"/v1/machines/{name}", body, status=200, If_Match="*")
    deploy(site, name, image)
    assert site.hardware.booted[name] == ("Cd", "UEFI")


def test_script_is_for_a_machine_whose_task_waits_for_it_and_then_silence_is_a_fault(
    site: Site, number: int, image
) -> None:
    name = site.held(number, boot={"method": "network", "firmware": "uefi"})
    site.hardware.behave[name] = None
    assert "exit" in _ask(site, number), "nothing waits for it: go on with the disk"
    site.alice.call("POST", f"/v1/machines/{name}/deploy", {"image": image}, status=202)
    script = wait_for("its script", lambda: _script(site, number))
    files = [line.split()[1] for line in script.splitlines() if line.startswith("kernel")]
    assert files == [f"{site.agent}/v1/agent/files/vmlinuz"]
    assert "exit" in _ask(site, 0xFF), "another machine's"
    assert site.wait(name, "deploy-failed")["fault"]["code"] == "callback-missing"
    assert "exit" in _ask(site, number), "its task has ended"


def _ask(site: Site, number: int) -> str:
    return requests.get(f"{site.agent}/v1/agent/boot.ipxe?mac=52:54:00:00:00:{number:02x}", timeout=30).text


def _script(site: Site, number: int) -> str | None:
    return text if "kernel" in (text := _ask(site, number)) else None


def test_bmc_that_cannot_fetch_the_address_does_not_tell_the_token(site: Site, number: int) -> None:
    bmc = Bmc(site.bmc, f"/redfish/v1/Systems/{site.system(number)}", *AUTH, verify_tls=False)
    url = "http://127.0.0.1:1/v1/agent/task-1.secret-of-the-task/deploy.iso"
    for ask in (lambda: bmc.boot_from("http", "uefi", url), lambda: bmc.insert(url)):
        with pytest.raises(BmcTrouble) as refused:
            ask()
        assert refused.value.code == "media-refused"
        assert "secret" not in refused.value.cause
        assert "http://127.0.0.1:1/v1/agent/…/deploy.iso" in refused.value.cause

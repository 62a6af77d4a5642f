# SPDX-License-Identifier: Apache-2.0
"""What can go wrong with a machine: each fault has a code, a cause in plain words, and what to do next."""

from typing import Final

#: Code → what a person does about it. docs/reference/machines-api.md lists when each is found.
NEXT_STEPS: Final = {
    "bmc-unreachable": "Ping the BMC and look at its cable, power and address; then repeat the verb.",
    "bmc-credentials": "Give the right ones: openstack machine set --bmc-username … --bmc-password-file … MACHINE; repeat the verb.",
    "bmc-refused": "Look at the BMC's own log and firmware version; then repeat the verb.",
    "power-refused": "Switch the machine at its BMC or button by hand; look at its power supplies.",
    "media-refused": "See that the BMC reaches the service's public_url, and has a free virtual drive (and licence for it).",
    "boot-ignored": "Look at the console during a start: firmware's boot order, boot mode (bios/uefi), network of the boot interface.",
    "callback-missing": "Look at the console: the ramdisk started but can no longer reach the service's public_url.",
    "power-lost": "Look at power supplies and at who switched it off (BMC's log); then repeat the verb.",
    "no-disk": "Look whether the disks are seated and whether the controller shows them; the ramdisk saw none.",
    "disk-too-small": "Deploy a smaller image, or take a model with a larger disk.",
    "image-unreachable": "See that the image's address answers from the service's host; then deploy again.",
    "checksum-wrong": "The bytes are not those that the checksum is of: upload the image again, or correct the checksum.",
    "image-unusable": "Give an image that is raw, qcow2 without backing file, or raw.zst.",
    "config-drive-failed": "Look at the console for what the ramdisk says of the partition table; deploy an image with GPT.",
    "wipe-failed": "Replace the disk that the cause names, then: openstack machine provide MACHINE.",
    "step-overdue": "Look at the console for what the machine is doing; then repeat the verb.",
    "internal": "This is a defect of the service: report it with the request id and the service's log.",
}


class Fault(Exception):
    """A task cannot go on; it ends in its failed state with this."""

    def __init__(self, code: str, cause: str) -> None:
        super().__init__(cause)
        self.code = code
        self.cause = cause

    @property
    def next_step(self) -> str:
        """What a person does about it."""
        return NEXT_STEPS[self.code]


class BmcTrouble(Fault):
    """The BMC did not do as asked, which may be different a moment later: worth trying for a while."""

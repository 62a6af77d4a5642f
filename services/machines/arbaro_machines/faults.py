# SPDX-License-Identifier: Apache-2.0
"""What can go wrong with a machine: each fault has a code, a cause in plain words, and what to do next."""

from typing import Final

#: Code → what a person does about it. docs/reference/machines-api.md lists when each is found.
NEXT_STEPS: Final = {
    "bmc-unreachable": "Ping the BMC; look at its cable, power and address; then repeat the verb.",
    "bmc-credentials": "openstack machine set --bmc-password-file FILE MACHINE; then repeat the verb.",
    "bmc-refused": "Look at the BMC's own log and firmware version; then repeat the verb.",
    "power-refused": "Switch the machine by its BMC or button by hand; look at its power supplies.",
    "media-refused": "See that the BMC reaches agent_url, is in agent_networks, and has a virtual drive (its licence).",
    "boot-ignored": "Look at the console during a start: boot order, boot mode (bios, uefi), network it boots from.",
    "callback-missing": "Look at the console: the ramdisk started and can no longer reach the service's agent_url.",
    "power-lost": "Look at the power supplies, and in the BMC's log who switched it off; then repeat the verb.",
    "no-disk": "Look whether the disks are seated and the controller shows them; the ramdisk saw none.",
    "disk-too-small": "Deploy a smaller image, or take a model with a larger disk.",
    "image-unreachable": "See that the image's address answers from the service's host; then deploy again.",
    "image-refused": "Upload the image to glance, or see section [images] of machines.toml: which servers are asked.",
    "no-room": "Make room on the service's host where its images are (image_cache); then deploy again.",
    "checksum-wrong": "These are not the bytes that the checksum is of: upload it again, or correct the checksum.",
    "image-unusable": "Give a whole disk with a partition table: raw, qcow2 without backing file, or raw.zst.",
    "config-drive-failed": "Look at the console for what the ramdisk says; the image needs a GPT.",
    "wipe-failed": "Replace the disk that the cause names, then: openstack machine provide MACHINE",
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
    """The BMC did not do as asked, which may be different a moment later: worth trying for a while.

    `silent`: it did not answer, or said that it cannot now. That is no refusal, and worth trying for as long as it
    takes where nobody waits for it.
    """

    def __init__(self, code: str, cause: str, *, silent: bool = False) -> None:
        super().__init__(code, cause)
        self.silent = silent

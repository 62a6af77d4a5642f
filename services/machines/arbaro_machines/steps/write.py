# SPDX-License-Identifier: Apache-2.0
"""Steps in which the ramdisk writes: an image, zeros, or nothing but a rescue system in memory."""

from arbaro_machines.faults import Fault
from arbaro_machines.steps.ramdisk import hear_done
from arbaro_machines.steps.work import Step, Work


def fetch_image(work: Work) -> float | None:
    """Have the image in this host's cache, checked, and plan what the ramdisk does with it."""
    image = work.images.fetch(work.task.request["image"], work.times.fetch_image)
    if image is None:
        return work.times.poll
    disk_gb = work.machine.properties.get("disk_gb")
    if disk_gb is not None and image.raw_bytes > disk_gb * 10**9:
        raise Fault("disk-too-small", f"The image is {image.raw_bytes} bytes, the disk {disk_gb} GB.")
    plan = {
        "image": f"{work.settings.agent_url}/v1/agent/image",
        "sha256": image.sha256,
        "raw_bytes": image.raw_bytes,
        "zst_bytes": image.zst_bytes,
    }
    if work.task.sealed or work.task.request["network"]:
        plan["config_drive"] = f"{work.settings.agent_url}/v1/agent/config-drive"
    work.desk.note(plan=plan, image_file=image.file)
    return None


FETCH_IMAGE = Step("fetch-image", fetch_image, lambda times: times.fetch_image, "image-unreachable")
WRITE_IMAGE = Step("write-image", hear_done, lambda times: times.write)
WIPE = Step("wipe", hear_done, lambda times: times.wipe, "wipe-failed")
BE_READY = Step("start-rescue-system", hear_done, lambda times: times.first_word)

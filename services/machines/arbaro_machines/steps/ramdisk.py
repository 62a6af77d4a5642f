# SPDX-License-Identifier: Apache-2.0
"""Steps that start the deploy ramdisk, listen to it, and go back to the disk."""

from arbaro_machines.faults import NEXT_STEPS, Fault
from arbaro_machines.steps.power import OFF, ask_once, switch_on
from arbaro_machines.steps.work import Step, Work

#: What a ramdisk may report; anything else would be a defect of it.
RAMDISKS_FAULTS = frozenset(
    {
        "checksum-wrong",
        "config-drive-failed",
        "disk-too-small",
        "image-unreachable",
        "image-unusable",
        "no-disk",
        "wipe-failed",
    }
)
#: A word of the ramdisk wakes the worker; between words there is no need to look often. In `poll`s.
LISTEN = 5
#: How long firmware may take to be seen on for good. In `poll`s.
SETTLE = 2.5


def point_at_ramdisk(work: Work) -> float | None:
    """Make the machine's next start boot the ramdisk."""
    if not work.desk.api_answers():
        return work.times.poll  # the BMC would fetch the CD from it, and blame the address
    work.desk.touch()
    method = work.machine.boot_method
    # Before the BMC is told: it may fetch the CD at once, and without this note it would not get it.
    work.desk.note(medium=method)
    url = f"{work.settings.agent_url}/v1/agent/{work.token}/deploy.iso"
    match method:
        case "virtual-media":
            work.bmc.insert(url)
            work.bmc.boot_from("cd", work.machine.firmware)
        case "http":
            work.bmc.boot_from("http", work.machine.firmware, url)
        case _:
            work.bmc.boot_from("network", work.machine.firmware)
    return None


def start_ramdisk(work: Work) -> float | None:
    """On; but not again once the ramdisk has spoken: it may have ended, and be off, while no worker was alive."""
    if work.phase:
        return None
    if not work.task.notes.get("booting"):
        work.desk.note(booting=True)
    return switch_on(work)


def hear_first_word(work: Work) -> float | None:
    """Wait until the ramdisk is up and has said so."""
    if work.phase:
        return None
    if work.elapsed > work.times.poll * SETTLE:
        _notice_lost_power(work)
    if work.elapsed > work.times.first_word:
        raise _never_heard(work)
    return work.times.poll * LISTEN


def _never_heard(work: Work) -> Fault:
    seconds = f"{work.times.first_word:.0f} s"
    if "fetched" in work.task.word:
        fetched_by = work.task.word.get("fetched_by", "the machine")
        return Fault("callback-missing", f"{fetched_by} fetched the boot script, and no word came within {seconds}.")
    return Fault("boot-ignored", f"The machine is on, and within {seconds} the ramdisk on it did not say a word.")


def hear_done(work: Work) -> float | None:
    """Listen until the ramdisk is done."""
    word = work.task.word
    if work.phase == "failed":
        code = word.get("code", "")
        cause = f"The ramdisk says: {word.get('cause', 'nothing more')}"
        raise Fault(code if code in RAMDISKS_FAULTS and code in NEXT_STEPS else "internal", cause)
    if work.phase in ("done", "ready"):
        return None
    if work.since_word() > work.times.silence:
        _judge_silence(work)
    elif "doubt" in work.task.notes:
        work.desk.note(doubt=None)
    return work.times.poll * LISTEN


def _judge_silence(work: Work) -> None:
    _notice_lost_power(work)
    doubt = work.task.notes.get("doubt")
    if doubt is None or not work.desk.api_answers():
        work.desk.note(doubt=work.elapsed)
    elif work.elapsed - doubt > work.times.doubt:
        raise Fault("callback-missing", f"The ramdisk was {work.phase}, then silent for {work.since_word():.0f} s.")


def _notice_lost_power(work: Work) -> None:
    # Seen off twice, because some BMCs say so for a moment while the firmware restarts.
    if work.bmc.power() == "on":
        if work.task.notes.get("seen_off"):
            work.desk.note(seen_off=None)
    elif work.task.notes.get("seen_off"):
        raise Fault("power-lost", "The machine was switched on and is off, though nobody here switched it off.")
    else:
        work.desk.note(seen_off=True)


def wait_for_off(work: Work) -> float | None:
    """The ramdisk switches the machine off when it is done; if it does not, we do."""
    if work.bmc.power() == "off":
        return None
    if work.elapsed > work.times.soft_off:
        ask_once(work, "off")
    return work.times.poll


def point_at_disk(work: Work) -> float | None:
    """Make the next start, and all after it, boot the disk."""
    work.desk.touch()
    work.desk.note(booting=None, medium=None)
    if work.machine.boot_method == "virtual-media":
        work.bmc.eject()
    work.bmc.boot_from("disk", work.machine.firmware)
    return None


def _soon(_: object) -> float:
    return 60


POINT_AT_RAMDISK = Step("point-at-ramdisk", point_at_ramdisk, lambda times: times.first_word, "media-refused")
START_RAMDISK = Step("switch-on", start_ramdisk, lambda times: times.power, "power-refused")
FIRST_WORD = Step("hear-first-word", hear_first_word, lambda times: times.first_word + 60, "boot-ignored")
WAIT_FOR_OFF = Step("wait-for-off", wait_for_off, lambda times: times.soft_off + times.power, "power-refused")
POINT_AT_DISK = Step("point-at-disk", point_at_disk, _soon)

BOOT_RAMDISK = (OFF, POINT_AT_RAMDISK, START_RAMDISK, FIRST_WORD)

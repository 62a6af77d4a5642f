# SPDX-License-Identifier: Apache-2.0
"""Steps that switch the machine."""

from arbaro_machines.steps.work import Step, Work

ASK_AGAIN_SECONDS = 30


def switch_off(work: Work) -> float | None:
    """Off, without asking its system."""
    if work.bmc.power() == "off":
        return None
    ask_once(work, "off")
    return work.times.poll


def switch_on(work: Work) -> float | None:
    """On."""
    if work.bmc.power() == "on":
        return None
    ask_once(work, "on")
    return work.times.poll


def switch_off_softly(work: Work) -> float | None:
    """Off: its system is asked first, and after a while it is not asked any longer."""
    if work.bmc.power() == "off":
        return None
    patient = work.elapsed < work.times.soft_off
    ask_once(work, "soft-off" if patient else "off")
    return work.times.poll


def ask_once(work: Work, target: str) -> None:
    """Switch, but not again before BMC and machine had time to do it."""
    # BMCs take seconds to obey and do not like to be pestered; but a killed worker may not have asked after all.
    asked = work.task.notes.get("asked", {"target": "", "at": 0})
    if asked["target"] != target or work.elapsed - asked["at"] > ASK_AGAIN_SECONDS:
        work.switch(target)
        work.desk.note(asked={"target": target, "at": work.elapsed})


OFF = Step("switch-off", switch_off, lambda times: times.power, "power-refused")
ON = Step("switch-on", switch_on, lambda times: times.power, "power-refused")
#: As ON, from its own disk and for good; by another name, because a plan has each name once.
START = Step("start", switch_on, lambda times: times.power, "power-refused")
SOFT_OFF = Step("switch-off-softly", switch_off_softly, lambda times: times.power + times.soft_off, "power-refused")

#: What is asked for → the steps to it.
SWITCHES = {
    "on": (ON,),
    "off": (OFF,),
    "soft-off": (SOFT_OFF,),
    "reboot": (OFF, ON),
    "soft-reboot": (SOFT_OFF, ON),
}

# SPDX-License-Identifier: Apache-2.0
"""Look at a machine by its BMC."""

from arbaro_machines.steps.work import Step, Work


def look(work: Work) -> float | None:
    """Note what the BMC tells; the worker writes it into the machine's properties."""
    work.desk.note(facts=work.bmc.look())
    return None


LOOK = Step("look", look, lambda times: times.bmc_patience + 60)

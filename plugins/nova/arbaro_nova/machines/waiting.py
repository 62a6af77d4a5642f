# SPDX-License-Identifier: Apache-2.0
"""Wait until a machine's task is over."""

from __future__ import annotations

import time
from collections.abc import Callable

from oslo_log import log as logging

from arbaro_nova.machines.client import MachinesClient
from arbaro_nova.machines.errors import ApiSilent, MachineFailed, failure, told
from arbaro_nova.machines.machine import Machine

LOG = logging.getLogger(__name__)


def wait_for_task(
    client: MachinesClient,
    machine: Machine,
    doing: str,
    wanted: str | None,
    *,
    timeout: float,
    interval: float,
    look: Callable[[], None] = lambda: None,
) -> Machine:
    """Return the machine when its task is over and it is in the wanted state (None: in any, without a fault).

    `look` is called before each question and may raise. An API that is silent is asked until the time is over.
    """
    held_by, deadline, silence = machine.server_id, time.monotonic() + timeout, None
    while True:
        if silence is None and machine.task is None:
            return judged(machine, doing, wanted, held_by)
        if time.monotonic() > deadline:
            last = silence or f"{machine.name} is {machine.state}, {machine.task} is going on"
            cause = f"{doing} not done after {timeout:.0f} s: {last}"
            raise MachineFailed(told(cause, f"openstack machine show {machine.name}"))
        time.sleep(interval)
        look()
        try:
            machine, silence = client.get(machine.id), None
        except ApiSilent as error:
            LOG.warning("Waiting on for machine %s: %s", machine.name, error)
            silence = str(error)


def judged(machine: Machine, doing: str, wanted: str | None, held_by: str | None) -> Machine:
    """Return the machine if all went well."""
    if machine.server_id != held_by:
        cause = f"{machine.name} was taken from this server, it is {machine.state}"
        raise MachineFailed(told(cause, "Create the server again."))
    if machine.fault or (wanted and machine.state != wanted):
        raise failure(machine.name, machine.fault, doing)
    return machine

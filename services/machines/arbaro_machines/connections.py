# SPDX-License-Identifier: Apache-2.0
"""Open connections to BMCs, one for each machine that is worked on."""

import threading

from arbaro_machines.database.models import Machine
from arbaro_machines.redfish import Bmc
from arbaro_machines.sealing import Seal


class Connections:
    """Keeps a BMC's session while a task goes on: logging in for each look would wear BMCs out."""

    def __init__(self, seal: Seal) -> None:
        self._seal = seal
        self._open: dict[str, tuple[tuple[object, ...], Bmc]] = {}
        self._lock = threading.Lock()

    def to(self, machine: Machine) -> Bmc:
        """The machine's BMC, by what is known of it now."""
        data = (
            machine.bmc_address,
            machine.bmc_system,
            machine.bmc_username,
            machine.bmc_secret,
            machine.bmc_verify_tls,
        )
        with self._lock:
            known, bmc = self._open.get(machine.id, (None, None))
            if bmc is None or known != data:
                password = self._seal.open(machine.bmc_secret) if machine.bmc_secret else ""
                address, system, username = data[:3]
                bmc = Bmc(address, system, username, password, verify_tls=machine.bmc_verify_tls)
                self._open[machine.id] = (data, bmc)
            return bmc

    def drop(self, machine_id: str) -> None:
        """End the session with this machine's BMC."""
        with self._lock:
            _, bmc = self._open.pop(machine_id, (None, None))
        if bmc is not None:
            bmc.close()

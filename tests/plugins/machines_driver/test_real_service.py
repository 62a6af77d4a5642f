# SPDX-License-Identifier: Apache-2.0
"""The same driver against the real services/machines (processes of its own, made-up hardware behind real Redfish)."""

import json
import os
import pathlib
import subprocess
import tempfile

import pytest
from cloud import Cloud

HERE = pathlib.Path(__file__).parent
#: A Python that has arbaro-machines[service,test]; `make plugins` makes this one.
PYTHON = os.environ.get("ARBARO_MACHINES_PYTHON", str(HERE.parents[2] / ".venv-machines" / "bin" / "python"))


def is_usable():
    """Whether that Python has all it takes."""
    command = [PYTHON, "-c", "import fastapi, sushy, sushy_tools, bcrypt"]
    return pathlib.Path(PYTHON).exists() and subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.skipif(not is_usable(), reason=f"{PYTHON} lacks the machine service's libraries (ARBARO_MACHINES_PYTHON)")
class RealService(Cloud):
    """One site for each test."""

    machines = 2

    def _start_machines(self):
        directory = tempfile.TemporaryDirectory(prefix="arbaro-driver-")
        self.addCleanup(directory.cleanup)
        command = [PYTHON, "-W", "ignore", str(HERE / "real_service.py"), directory.name, str(self.machines)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.stdin.close)
        return json.loads(process.stdout.readline())["url"]

    def _reach(self, url):
        super()._reach(url)
        self.settings(poll_interval=0.2)

    def client(self):
        """Return the driver's own client."""
        return self.computes["compute"].manager.driver.client

    def machine_named(self, name):
        """Return a machine as the API shows it."""
        return next(m for m in self.client().list() if m.name == name)

    def test_life_and_faults(self):
        # Only the machine whose BMC password is wrong is free: no other is tried, and its user reads why.
        good = self.machine_named("m0")
        self.client()._ask("PUT", f"/v1/machines/{good.id}/maintenance", json={"reason": "test"})
        self._run_periodics()
        fault = self.create(expected="ERROR")["fault"]["message"]
        self.assertIn("m1: bmc-credentials", fault)
        self.client()._ask("DELETE", f"/v1/machines/{good.id}/maintenance")
        self._run_periodics()
        server = self.create(user_data="IyEvYmluL3NoCg==")
        (machine,) = self.client().held_for(server["id"])
        self.assertEqual((good.id, "active", "on"), (machine.id, machine.state, machine.power))
        self._stop_server(server)
        self.assertEqual("off", self.machine_named("m0").power)
        self._start_server(server)
        self._reboot_server(server, hard=True)
        self._rebuild_server(server, "a2459075-d96c-40d5-893e-577ff92e721c")
        self.api.post_server_action(server["id"], {"rescue": {"adminPass": "x" * 12}})
        self._wait_for_state_change(server, "RESCUE")
        self.api.post_server_action(server["id"], {"unrescue": None})
        self._wait_for_state_change(server, "ACTIVE")
        self._delete_server(server)
        self._wait_for_assert(lambda: self.assertTrue(self.machine_named("m0").free), max_retries=60)
        self._run_periodics()
        self.assertEqual("ACTIVE", self.create()["status"])

# SPDX-License-Identifier: Apache-2.0
"""nova-compute's periodic look at many machines: seconds, and requests to the machines API. Run with Debian's python3.

Real: nova's compute manager and resource tracker, placement, our driver. Not real: the machines API (tests' fake), the
databases (SQLite in memory), the network between nova-compute, conductor and placement (one process).
"""

import io
import pathlib
import sys
import time
import unittest

ROOT = pathlib.Path(__file__).parents[1]
sys.dont_write_bytecode = True
sys.path[:0] = [str(ROOT / "tests" / "plugins" / "machines_driver"), str(ROOT / "plugins" / "nova")]

import nova.tests.functional  # noqa: E402, F401 - makes threads green, before anything else
from cloud import Cloud  # noqa: E402

MACHINES = int(sys.argv[1]) if len(sys.argv) > 1 else 100


class Look(Cloud):
    """One nova-compute with all the machines."""

    machines = MACHINES

    def _reach(self, url):
        super()._reach(url)
        self.settings(relist_interval=600)

    def runTest(self):  # noqa: N802 - the library's name
        """Look three times: everything is new, nothing is new, ten machines changed."""
        api = self.api_of_machines
        for machine in api.machines.values():
            machine["updated_at"] = "2026-01-01T00:00:00Z"
        driver = self.computes["compute"].manager.driver
        rows = []
        for what in ("nothing changed", "ten machines changed"):
            if what.startswith("ten"):
                for machine in list(api.machines.values())[:10]:
                    api.change(machine, maintenance={"reason": "benchmark"})
            api.requests.clear()
            began = time.monotonic()
            driver.get_available_nodes()
            own = time.monotonic() - began
            asked = len(api.requests)
            began = time.monotonic()
            self._run_periodics()
            rows.append((what, own, asked, time.monotonic() - began, len(api.requests) - asked))
        sys.__stdout__.write(f"{MACHINES} machines          driver's look | requests | nova's whole turn | requests\n")
        for what, own, asked, whole, more in rows:
            sys.__stdout__.write(f"{what:22} {own:10.2f} s | {asked:8} | {whole:15.1f} s | {more:8}\n")


if __name__ == "__main__":
    began = time.monotonic()
    result = unittest.TextTestRunner(stream=io.StringIO(), verbosity=0).run(Look())
    for _, text in result.errors + result.failures:
        sys.__stdout__.write(text[-1500:])
    sys.__stdout__.write(f"with the first look, which makes all nodes: {time.monotonic() - began:.0f} s\n")
    sys.exit(not result.wasSuccessful())

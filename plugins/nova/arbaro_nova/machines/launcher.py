# SPDX-License-Identifier: Apache-2.0
"""Nova's own nova-compute, in which `compute_driver = arbaro_machines.MachineDriver` is found.

Nova looks for drivers in its package `nova.virt` only. This puts ours there for the one process, and no file of nova's
is touched: an upgrade of nova cannot lose it. `python3 -m arbaro_nova.machines.launcher` takes nova-compute's options.
"""

import sys


def make_known():
    """Let nova find the driver's module under the name by which it asks for it."""
    from arbaro_nova.machines import driver

    sys.modules["nova.virt.arbaro_machines"] = driver


def main():
    """Start nova-compute as its own command does."""
    # First: it makes threads green, and what is imported before would keep the other ones.
    from nova.cmd import compute

    make_known()
    compute.main()


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""The command line is there at once: naming the commands imports none of what they need."""

import subprocess
import sys

SLOW = ("rich", "ansible", "openstack", "yaml", "arbaro.cluster", "arbaro.output")


def test_help_imports_no_room_and_no_big_library() -> None:
    program = "import sys, arbaro.cli; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert [name for name in SLOW if name in modules] == []

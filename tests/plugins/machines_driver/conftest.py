# SPDX-License-Identifier: Apache-2.0
"""Runs with Debian's python3, where nova is: its own functional harness (real API, conductor, scheduler, compute manager,
resource tracker, placement; databases in memory) with our driver in it."""

import importlib.util
import pathlib
import signal
import sys

# Where tests were started with Ctrl-C ignored (nohup, some CI systems), all that they start would ignore it as well.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
ROOT = pathlib.Path(__file__).parents[3]
# Files beside the plug-in's would be taken for part of it.
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "plugins" / "nova"))
# The tool's own virtualenv has no nova: there is nothing to try there.
collect_ignore_glob = [] if importlib.util.find_spec("nova") else ["test_*.py"]
if not collect_ignore_glob:
    # Makes threads green, which must come before anything else is imported.
    import nova.tests.functional  # noqa: F401


def pytest_report_header():
    """Say which nova this is about."""
    if spec := importlib.util.find_spec("nova"):
        from nova import version

        return f"nova {version.version_string()} from {spec.origin}"
    return None

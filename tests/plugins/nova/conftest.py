# SPDX-License-Identifier: Apache-2.0
"""Runs with Debian's python3, where nova is, or with another release's nova before it in PYTHONPATH (see ./run)."""

import importlib.util
import pathlib
import signal
import sys

import pytest

# Where tests were started with Ctrl-C ignored (nohup, some CI systems), all that they start would ignore it as well.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
ROOT = pathlib.Path(__file__).parents[3]
# Files beside the plug-in's would be taken for part of it.
sys.dont_write_bytecode = True
sys.path[:0] = [str(ROOT / "plugins" / "nova"), str(ROOT / "benchmarks" / "scheduling")]
# The tool's own virtualenv has no nova: there is nothing to try there.
collect_ignore_glob = [] if importlib.util.find_spec("nova") else ["test_*.py"]


def pytest_report_header():
    """Say which nova this is about."""
    if spec := importlib.util.find_spec("nova"):
        from nova import version

        return f"nova {version.version_string()} from {spec.origin}"
    return None


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """A nova with 40 computes in 8 aggregates; the last aggregate has one host, beyond the 10 that placement hands out."""
    from small_nova import Nova

    with Nova(tmp_path_factory.mktemp("nova")) as nova:
        yield nova

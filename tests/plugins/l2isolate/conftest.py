# SPDX-License-Identifier: Apache-2.0
"""Runs with Debian's python3, where neutron is. The plug-in is taken from the tree; stevedore finds it by metadata that says
what pip would have written (real: the entry points of pyproject.toml; stands in: the installation)."""

import importlib.util
import os
import pathlib
import signal
import sys
import tempfile
import tomllib

# Where tests were started with Ctrl-C ignored (nohup, some CI systems), all that they start would ignore it as well.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
PLUGIN = pathlib.Path(__file__).parents[3] / "plugins" / "l2isolate"


def write_metadata(directory):
    """Write what pip would install beside the package: its name and its entry points."""
    project = tomllib.loads((PLUGIN / "pyproject.toml").read_text())["project"]
    target = directory / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    target.mkdir()
    (target / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = {"console_scripts": project["scripts"], **project["entry-points"]}
    text = "".join(
        f"[{group}]\n" + "".join(f"{n} = {v}\n" for n, v in names.items()) for group, names in groups.items()
    )
    (target / "entry_points.txt").write_text(text)


SCRATCH = tempfile.TemporaryDirectory(prefix="l2t-")
write_metadata(pathlib.Path(SCRATCH.name))
# stevedore keeps what it found in a cache; ours must not see a scratch directory of ours again.
os.environ["XDG_CACHE_HOME"] = SCRATCH.name
sys.path[:0] = [str(PLUGIN), SCRATCH.name]
# The tool's own virtualenv has no neutron: there is nothing to try there.
collect_ignore_glob = [] if importlib.util.find_spec("neutron") else ["test_*.py"]

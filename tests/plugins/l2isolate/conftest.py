# SPDX-License-Identifier: Apache-2.0
"""Runs with Debian's python3, where neutron is: the plug-in is taken from the tree, its entry points from a metadata stub."""

import pathlib
import sys

PLUGIN = pathlib.Path(__file__).parents[3] / "plugins" / "l2isolate"
sys.path.insert(0, str(PLUGIN))

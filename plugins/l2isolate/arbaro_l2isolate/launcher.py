# SPDX-License-Identifier: Apache-2.0
"""The console script `neutron-l2isolate-agent`: makes Python cooperative before all other imports, as neutron does."""

from neutron.common import eventlet_utils

eventlet_utils.monkey_patch()

from arbaro_l2isolate import agent  # noqa: E402 - must come after the patch


def main():
    """Run the agent."""
    agent.main()

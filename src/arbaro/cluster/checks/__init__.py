# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a personal cloud: each check judges evidence, and nothing is looked at here."""

from collections.abc import Sequence

from arbaro.checks import Check
from arbaro.cluster.checks import hosts, machines, openstack

#: What `arbaro status` judges by, in the order in which findings are told.
CHECKS: Sequence[Check] = (
    hosts.HOST_DOWN,
    hosts.HOST_UNREACHABLE,
    hosts.UNIT_DOWN,
    hosts.SESSION_DOWN,
    openstack.API_SILENT,
    openstack.OPENSTACK_REFUSES,
    openstack.SERVICE_SILENT,
    openstack.AGGREGATE_LACKS_HOST,
    openstack.AGGREGATE_LEFT_BEHIND,
    machines.MACHINE_FAILED,
    machines.MACHINE_IN_MAINTENANCE,
    hosts.HOST_OUTDATED,
)

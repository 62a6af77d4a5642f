# SPDX-License-Identifier: Apache-2.0
"""The machine driver fits each release's nova: it can be loaded, and called as that nova calls its drivers.

What it does is tried in Zed's own harness (tests/plugins/machines_driver), which Debian ships for Zed only.
"""

import inspect

import pytest
from arbaro_nova.machines import launcher
from arbaro_nova.machines.driver import MachineDriver
from nova import objects
from nova.virt import driver

METHODS = [
    name
    for name, value in vars(MachineDriver).items()
    if inspect.isfunction(value) and not name.startswith("_") and hasattr(driver.ComputeDriver, name)
]


def test_nova_finds_it_by_the_option():
    launcher.make_known()
    loaded = driver.load_compute_driver(None, "arbaro_machines.MachineDriver")
    assert isinstance(loaded, MachineDriver)
    assert loaded.rebalances_nodes


@pytest.mark.parametrize("name", METHODS)
def test_it_takes_what_nova_gives(name):
    wanted = inspect.signature(getattr(driver.ComputeDriver, name)).parameters.values()
    by_place = [p.name for p in wanted if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    by_name = {p.name: p.name for p in wanted if p.default is not p.empty}
    inspect.signature(getattr(MachineDriver, name)).bind(*by_place, **by_name)


def test_what_is_asked_of_novas_objects_is_there():
    objects.register_all()
    for where, name in (
        (objects.ServiceList, "get_all_computes_by_hv_type"),
        (objects.InstanceList, "get_uuids_by_host"),
        (objects.InstanceList, "get_by_filters"),
        (objects.InstanceFault, "get_latest_for_instance"),
        (objects.BlockDeviceMappingList, "get_by_instance_uuid"),
    ):
        assert callable(getattr(where, name, None)), f"{where.__name__}.{name}"

# SPDX-License-Identifier: Apache-2.0
"""The filter that spreads machines finds out in each release's nova where a group's servers are.

Whole requests with it are tried in Zed's own harness (tests/plugins/machines_driver/test_spread.py).
"""

import pytest
from arbaro_nova.scheduler.spread import MachineSpreadFilter, domains_of_servers
from nova import objects
from nova.scheduler import filters
from oslo_utils import uuidutils


@pytest.fixture
def machine(place):
    """Let a compute be a machine for a while."""
    node = objects.ComputeNodeList.get_all(place.context)[0]
    was = {"hypervisor_type": node.hypervisor_type, "stats": node.stats}
    node.hypervisor_type, node.stats = "arbaro-machines", {"machine": "pm1", "room": "a", "rack": "a01"}
    node.save()
    yield node
    for name, value in was.items():
        setattr(node, name, value)
    node.save()


def test_nova_takes_it_for_a_filter():
    assert MachineSpreadFilter in filters.HostFilterHandler().get_matching_classes(
        ["arbaro_nova.scheduler.spread.MachineSpreadFilter"]
    )


def test_room_and_rack_of_what_a_server_has_been_given(place, machine):
    server, other = uuidutils.generate_uuid(), uuidutils.generate_uuid()
    given = {"allocations": {machine.uuid: {"resources": {"VCPU": 1}}}, "consumer_generation": None}
    answer = place.client.put(
        f"/allocations/{server}", {**given, "project_id": "project", "user_id": "user"}, version="1.28"
    )
    assert answer.status_code == 204, answer.text
    try:
        assert domains_of_servers({server, other}) == {("a", "a01")}
        assert domains_of_servers({other}) == set()
    finally:
        place.client.delete(f"/allocations/{server}")


def test_a_request_without_such_a_group_is_not_touched(place):
    spec, hosts = place.request(None), iter(())
    assert MachineSpreadFilter().filter_all(hosts, spec) is hosts
    spec.instance_group = objects.InstanceGroup(policy="soft-anti-affinity", members=[])
    assert MachineSpreadFilter().filter_all(hosts, spec) is hosts
    # No machine among the hosts: it is not asked who is where.
    spec.instance_group = objects.InstanceGroup(policy="anti-affinity", members=[uuidutils.generate_uuid()])
    hosts = [objects.ComputeNode(hypervisor_type="QEMU", stats={})]
    assert MachineSpreadFilter().filter_all(iter(hosts), spec) == hosts

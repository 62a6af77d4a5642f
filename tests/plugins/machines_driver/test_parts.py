# SPDX-License-Identifier: Apache-2.0
"""The parts that need no nova: who serves what, what is asked how often, what is told in how few words."""

import collections
from unittest import mock

import oslo_messaging
import pytest
from arbaro_nova.machines import deployment, errors
from arbaro_nova.machines.client import MachinesClient
from arbaro_nova.machines.inventory import Inventory
from arbaro_nova.machines.machine import Machine
from arbaro_nova.machines.ring import Ring
from fake_api import FakeApi
from keystoneauth1 import adapter, noauth, session
from nova import exception

MACHINES = [f"machine-{number}" for number in range(1000)]


@pytest.fixture
def api():
    """A machines API with nobody on it yet."""
    fake = FakeApi()
    yield fake
    fake.close()


def client(api):
    """Speak to it."""
    opened = session.Session(auth=noauth.NoAuth(endpoint=api.url))
    return MachinesClient(adapter.Adapter(opened, endpoint_override=api.url))


def test_the_ring_shares_evenly_and_moves_only_the_dead_ones_machines():
    before, after = Ring(["a", "b", "c", "d"]), Ring(["a", "b", "d"])
    counts = collections.Counter(before.owner(machine) for machine in MACHINES)
    assert min(counts.values()) > 200
    moved = {machine for machine in MACHINES if before.owner(machine) != after.owner(machine)}
    assert moved == {machine for machine in MACHINES if before.owner(machine) == "c"}


def test_all_machines_are_asked_for_once_and_then_only_what_changed(api):
    last = api.add(2500)
    for machine in api.machines.values():
        machine["updated_at"] = "2026-01-01T00:00:00Z"
    last["updated_at"] = "2026-01-02T00:00:00Z"
    clock = iter((0, 60, 120, 660)).__next__
    inventory = Inventory(client(api), relist_interval=600, clock=clock)
    inventory.refresh()
    assert len(api.requests) == 3
    api.change(last, power="on")
    inventory.refresh()
    assert (inventory.get(last["id"]).power, len(api.requests)) == ("on", 4)
    del api.machines[last["id"]]
    inventory.refresh()
    assert (last["id"] in {m.id for m in inventory}, len(api.requests)) == (True, 5)
    inventory.refresh()
    assert last["id"] not in {m.id for m in inventory}


def test_an_old_answer_does_not_hide_a_newer_one(api):
    inventory = Inventory(client(api), relist_interval=600)
    new = Machine(id="m", name="m", revision=7, state="active")
    inventory.remember(new)
    inventory.remember(Machine(id="m", name="m", revision=6, state="deploying"))
    assert inventory.get("m") == new


@pytest.mark.parametrize("cause", ["short", "long " * 50])
@pytest.mark.parametrize("next_step", ["", "do this", "do this or that " * 20])
def test_cause_and_next_step_fit_into_novas_fault(cause, next_step):
    text = errors.told(cause, next_step)
    assert len(text) <= errors.ROOM
    assert text.startswith(cause[:5])
    assert next_step[:7] in text


def test_a_proxys_error_page_is_told_by_its_status():
    class Page:
        status_code = 502

        def json(self):
            raise ValueError

    assert str(errors.ApiRefused.of(Page())) == "The machines API answered 502."


@pytest.mark.parametrize("error", [oslo_messaging.RemoteError("DBConnectionError"), oslo_messaging.MessagingTimeout()])
def test_a_deployment_goes_on_while_nova_cannot_say_whether_the_server_is_wanted(error):
    deployment.stop_if_deleted(mock.Mock(**{"refresh.side_effect": error}))
    with pytest.raises(exception.UnexpectedDeletingTaskStateError):
        deployment.stop_if_deleted(mock.Mock(task_state="deleting"))
    with pytest.raises(exception.InstanceNotFound):
        deployment.stop_if_deleted(mock.Mock(**{"refresh.side_effect": exception.InstanceNotFound(instance_id="i")}))

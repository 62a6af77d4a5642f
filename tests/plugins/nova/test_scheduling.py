# SPDX-License-Identifier: Apache-2.0
"""Requests through the real scheduler manager, databases and placement: each says where a server would land, or its fault."""

import logging
import timeit

import pytest
from arbaro_nova.scheduler import filters
from arbaro_nova.scheduler.request import require_hinted_aggregates
from nova import objects
from nova.conf import CONF
from nova.scheduler import host_manager, request_filter, utils


def test_a_host_of_the_aggregate_is_chosen_by_id_by_uuid_and_out_of_several(place):
    one, two = place.make_aggregate(3), place.make_aggregate(2)
    assert place.ask(one.id) in one.hosts
    assert place.ask(one.uuid) in one.hosts
    for hint in (f"{one.id},{two.uuid}", [str(one.id), two.uuid]):
        assert place.ask(hint) in one.hosts + two.hosts
    # Any of them: one that is of no use does not spoil the others.
    assert place.ask(f"999,{two.id}") in two.hosts


def test_a_host_beyond_what_placement_hands_out_is_found_and_by_the_filter_alone_it_is_not(place, monkeypatch):
    aggregate = place.make_aggregate(1, beyond_candidates=True)
    assert place.ask(aggregate.id) == aggregate.hosts[0]
    monkeypatch.setattr(
        request_filter,
        "ALL_REQUEST_FILTERS",
        [one for one in request_filter.ALL_REQUEST_FILTERS if one is not require_hinted_aggregates],
    )
    assert place.ask(aggregate.id) == "No valid host was found. There are not enough hosts available."


def test_the_fault_says_which_aggregate_cannot_be_used_and_why(place):
    empty, closed = place.make_aggregate(0), place.make_aggregate(1, hint_projects="other")
    said = "No valid host was found. Scheduling failed: "
    assert place.ask(999) == f"{said}hint aggregate_id: aggregate 999 does not exist."
    assert place.ask("Tokyo") == f"{said}hint aggregate_id: aggregate tokyo does not exist."
    assert place.ask("9" * 20) == f"{said}hint aggregate_id: aggregate {'9' * 20} does not exist."
    assert place.ask(empty.uuid) == f"{said}hint aggregate_id: aggregate {empty.uuid} has no hosts."
    assert place.ask(closed.id) == (
        f"{said}hint aggregate_id: aggregate {closed.id} may not be named by project arbaro-benchmark."
    )
    assert place.ask(f"999,{empty.id}") == (
        f"{said}hint aggregate_id: aggregate 999 does not exist; aggregate {empty.id} has no hosts."
    )
    assert place.ask("") == f"{said}hint aggregate_id names no aggregate."
    assert place.ask(",".join(map(str, range(100, 121)))) == (
        f"{said}hint aggregate_id names 21 aggregates, and 20 are possible."
    )


def test_an_operator_may_name_what_projects_may_not(place):
    closed = place.make_aggregate(1, hint_projects="other")
    assert place.ask(closed.id, place.operator()) == closed.hosts[0]


def test_the_hint_is_stored_with_the_server_and_holds_at_each_move(place):
    aggregate = place.make_aggregate(3)
    spec = place.request(aggregate.id)
    spec.create()
    assert place.schedule(spec) in aggregate.hosts
    # What conductor does for migrations, evacuation and unshelving: load it, shut out where the server is, ask again.
    first, second, third = aggregate.hosts
    stored = objects.RequestSpec.get_by_instance_uuid(place.user(), spec.instance_uuid)
    stored.requested_resources, stored.ignore_hosts = [], [first, second]
    assert place.schedule(stored) == third


def test_a_changed_membership_holds_at_the_next_request(place):
    aggregate = place.make_aggregate(2)
    stays, goes = aggregate.hosts
    place.leave(aggregate, goes)
    assert {place.ask(aggregate.id) for _ in range(3)} == {stays}
    place.leave(aggregate, stays)
    assert place.ask(aggregate.id).endswith(f"aggregate {aggregate.id} has no hosts.")
    place.join(aggregate, goes)
    assert place.ask(aggregate.id) == goes


def test_a_host_that_placement_alone_counts_among_the_aggregate_is_refused_with_a_line_in_the_log(place, caplog):
    aggregate = place.make_aggregate(2)
    stays, goes = aggregate.hosts
    place.leave(aggregate, goes, tell_placement=False)
    caplog.set_level(logging.INFO, filters.__name__)
    assert place.ask(aggregate.id) == stays
    assert (
        f"{goes} is refused: hint aggregate_id asks for {aggregate.id}, and the host's aggregates are " in caplog.text
    )


def test_a_host_that_an_operator_names_must_be_in_the_aggregate(place):
    aggregate, other = place.make_aggregate(2), place.make_aggregate(1)
    inside, outside = aggregate.hosts[1], other.hosts[0]
    for changes in ({"requested_destination": objects.Destination(host=inside)}, {"force_hosts": [inside]}):
        assert place.ask(aggregate.id, place.operator(), **changes) == inside
    for changes in ({"requested_destination": objects.Destination(host=outside)}, {"force_hosts": [outside]}):
        said = place.ask(aggregate.id, place.operator(), **changes)
        assert said.endswith(f"host {outside} is not in aggregate {aggregate.id}, which hint aggregate_id asks for.")


def test_a_rebuild_leaves_a_server_where_it_is_though_its_host_has_left_the_aggregate(place):
    aggregate, other = place.make_aggregate(1), place.make_aggregate(1)
    spec = place.request(aggregate.id)
    spec.scheduler_hints["_nova_check_type"] = ["rebuild"]
    spec.requested_destination = objects.Destination(host=other.hosts[0], node=other.hosts[0])
    assert place.schedule(spec) == other.hosts[0]


def test_an_availability_zone_and_a_hint_must_both_be_met(place):
    aggregate = place.make_aggregate(3)
    zone = place.make_aggregate(0, availability_zone="z1")
    place.join(zone, aggregate.hosts[1])
    assert place.ask(aggregate.id, availability_zone="z1") == aggregate.hosts[1]
    assert place.ask(place.make_aggregate(1).id, availability_zone="z1") == "No valid host was found. "


def test_a_server_group_and_a_hint_must_both_be_met(place):
    aggregate = place.make_aggregate(3)
    group = objects.InstanceGroup(
        uuid=aggregate.uuid, policy="affinity", policies=["affinity"], hosts=aggregate.hosts[2:]
    )
    assert place.ask(aggregate.id, instance_group=group) == aggregate.hosts[2]
    group.hosts = place.make_aggregate(1).hosts
    assert (
        place.ask(aggregate.id, instance_group=group)
        == "No valid host was found. There are not enough hosts available."
    )


def test_a_request_without_a_hint_is_not_touched_and_pays_microseconds(place):
    spec, hosts = place.request(None), iter(())
    require_hinted_aggregates(place.user(), spec)
    assert spec.requested_destination is None
    assert utils.resources_from_request_spec(place.user(), spec, place.scheduler_hosts)._limit == 10
    hint_filter = filters.AggregateHintFilter()
    assert hint_filter.filter_all(hosts, spec) is hosts
    once = timeit.timeit(
        lambda: (require_hinted_aggregates(None, spec), hint_filter.filter_all(hosts, spec)), number=1000
    )
    assert once / 1000 < 0.001


def test_where_the_filter_is_not_enabled_nothing_of_it_is_there(monkeypatch):
    monkeypatch.setattr(request_filter, "ALL_REQUEST_FILTERS", [])
    CONF.set_override("enabled_filters", ["ComputeFilter"], "filter_scheduler")
    try:
        host_manager.HostManager()
    finally:
        CONF.clear_override("enabled_filters", "filter_scheduler")
    assert request_filter.ALL_REQUEST_FILTERS == []
    host_manager.HostManager()
    host_manager.HostManager()
    assert [require_hinted_aggregates] == request_filter.ALL_REQUEST_FILTERS


@pytest.fixture(autouse=True)
def each_test_has_aggregates_of_its_own(place):
    yield
    place.forget_aggregates()

# SPDX-License-Identifier: Apache-2.0
"""Reading few services: the host manager comes to the same host states as nova's own code does, from fewer rows."""

import datetime
import logging

import pytest
import sqlalchemy as sa
from arbaro_nova.scheduler import services
from arbaro_nova.scheduler.filters import AggregateHintFilter
from nova import context, objects
from nova.conf import CONF
from nova.scheduler import host_manager
from oslo_utils import uuidutils as uuids

API, MODELS = services.cells_database()
LONG_AGO = datetime.datetime(2020, 1, 1)


@pytest.fixture
def rows():
    """The hosts of the services that are read from the database while a test runs."""
    hosts = []

    def note(service, *_):
        hosts.append(service.host)

    sa.event.listen(MODELS.Service, "load", note)
    yield hosts
    sa.event.remove(MODELS.Service, "load", note)


@pytest.fixture
def nova_reads():
    """Lets nova's own code do it: as if that had been configured, the method is called and has nothing to do."""

    def reads(function, *words):
        CONF.set_override("few_candidates", 0, services.SECTION)
        try:
            return function(*words)
        finally:
            CONF.clear_override("few_candidates", services.SECTION)

    return reads


def host_states(place, computes):
    """What the host manager makes of these candidates: all that a filter can see."""
    found = place.scheduler_hosts.get_host_states_by_uuids(
        place.user(), [compute.uuid for compute in computes], place.request(None)
    )
    # Metrics are an object that is equal to none but itself, and no two looks are at the same time.
    return {state.host: {**vars(state), "metrics": repr(state.metrics), "updated": None} for state in found}


def change_service(place, compute, **values):
    """Write into a service's row what its nova-compute or an operator would have written."""
    table = MODELS.Service.__table__
    with place.databases.cell.begin() as connection:
        connection.execute(table.update().where(table.c.host == compute.name).values(**values))


@pytest.fixture
def candidates(place):
    """Six computes: two are up, one each is silent, disabled, forced down, and without a service, which was deleted."""
    up, _, silent, disabled, forced, missing = chosen = list(place.crowd)[:6]
    with place.databases.cell.connect() as connection:
        before = connection.execute(sa.select(MODELS.Service.__table__)).mappings().all()
    change_service(place, up, report_count=7)
    change_service(place, silent, last_seen_up=LONG_AGO, updated_at=LONG_AGO)
    change_service(place, disabled, disabled=True, disabled_reason="broken")
    change_service(place, forced, forced_down=True)
    change_service(place, missing, deleted=99, deleted_at=LONG_AGO)
    yield chosen
    for row in before:
        with place.databases.cell.begin() as connection:
            table = MODELS.Service.__table__
            connection.execute(table.update().where(table.c.id == row["id"]).values(**row))


def test_host_states_are_those_of_nova_whatever_the_service_is_like(place, candidates, nova_reads):
    ours, theirs = host_states(place, candidates), nova_reads(host_states, place, candidates)
    assert ours == theirs
    up, other, silent, disabled, forced, _ = (compute.name for compute in candidates)
    assert set(ours) == {up, other, silent, disabled, forced}
    assert ours[up]["service"]["report_count"] == 7
    assert ours[silent]["service"]["last_seen_up"].year == 2020
    assert ours[disabled]["service"]["disabled_reason"] == "broken"
    assert ours[forced]["service"]["forced_down"] is True


def test_only_the_services_of_the_candidates_are_read(place, candidates, nova_reads, rows):
    host_states(place, candidates)
    # The deleted one is not among them.
    assert sorted(rows) == [compute.name for compute in candidates[:5]]
    rows.clear()
    nova_reads(host_states, place, candidates)
    assert len(rows) == 40


def test_a_whole_request_reads_as_few_and_chooses_the_only_host_that_is_up(place, candidates, rows):
    aggregate = place.make_aggregate(0)
    for compute in candidates[1:]:
        place.join(aggregate, compute.name)
    rows.clear()
    assert place.ask(aggregate.id) == candidates[1].name
    assert sorted(rows) == [compute.name for compute in candidates[1:5]]
    place.forget_aggregates()


def test_many_candidates_are_left_to_nova(place, candidates, rows):
    CONF.set_override("few_candidates", 5, services.SECTION)
    try:
        host_states(place, candidates[:5])
        assert len(rows) == 5
        rows.clear()
        host_states(place, candidates)
    finally:
        CONF.clear_override("few_candidates", services.SECTION)
    assert len(rows) == 40


def test_no_candidates_are_no_reason_to_read_services(place, rows):
    assert host_states(place, []) == {}
    assert rows == []


def other_cell(place, database):
    """A second cell, which only the calls below know of."""
    return objects.CellMapping(
        place.context, uuid=uuids.generate_uuid(), name="two", transport_url="fake://", database_connection=database
    )


def computes_of(place, cells, candidates):
    """Call the method that is replaced."""
    nodes, found = place.scheduler_hosts._get_computes_for_cells(
        place.user(), cells, [compute.uuid for compute in candidates]
    )
    return (
        {key: sorted(node.host for node in some) for key, some in nodes.items()},
        {node.host: found[node.host].uuid for some in nodes.values() for node in some},
    )


def test_a_cell_without_candidates_and_a_broken_one_leave_what_is_in_the_others(place, tmp_path, nova_reads, rows):
    empty = other_cell(place, f"sqlite:///{tmp_path}/empty.db")
    broken = other_cell(place, f"sqlite:///{tmp_path}/not/there.db")
    MODELS.BASE.metadata.create_all(sa.create_engine(empty.database_connection))
    candidates, known = list(place.crowd)[:3], list(place.scheduler_hosts.enabled_cells)
    for cells in ([*known, empty], [*known, broken], [empty], [broken]):
        ours = computes_of(place, cells, candidates)
        assert ours == nova_reads(computes_of, place, cells, candidates)
        assert len(ours[1]) == (3 if known[0] in cells else 0)


def test_a_cell_that_does_not_answer_is_left_out_as_nova_does(place, monkeypatch, nova_reads, caplog):
    slow, known = other_cell(place, "sqlite:///slow.db"), list(place.scheduler_hosts.enabled_cells)
    real = context.scatter_gather_cells

    def silent(ctxt, cells, *words):
        """Stands in for the wait of a minute: one cell has not answered."""
        answers = real(ctxt, [one for one in cells if one is not slow], *words)
        return {**answers, slow.uuid: context.did_not_respond_sentinel}

    monkeypatch.setattr(context, "scatter_gather_cells", silent)
    candidates = list(place.crowd)[:3]
    ours = computes_of(place, [*known, slow], candidates)
    assert f"Cell {slow.uuid} has not answered in time" in caplog.text
    assert ours == nova_reads(computes_of, place, [*known, slow], candidates)


def own_method():
    return host_manager.HostManager.__dict__[services.REPLACED]


@pytest.fixture
def stock_nova(monkeypatch):
    """HostManager as nova has it; what a test puts there is taken away again."""
    replaced = own_method()
    kept = (cell.cell_contents for cell in replaced.__closure__)
    stock = next(one for one in kept if one.__module__ == host_manager.__name__)
    monkeypatch.setattr(host_manager.HostManager, services.REPLACED, stock)
    return stock


def test_it_is_put_in_place_once(place, stock_nova):
    AggregateHintFilter()
    ours = own_method()
    assert ours.__module__ == services.__name__
    AggregateHintFilter()
    assert own_method() is ours


def test_a_nova_that_is_not_known_stays_as_it_is_with_one_warning(place, stock_nova, monkeypatch, caplog):
    def changed(self, context, cells, compute_uuids):
        """What a later nova might have."""

    caplog.set_level(logging.WARNING, services.__name__)
    for name in services.STANDS_ON:
        with monkeypatch.context() as later:
            later.setattr(host_manager.HostManager, name, changed)
            AggregateHintFilter()
            assert own_method() in (changed, stock_nova)
        with monkeypatch.context() as later:
            later.delattr(host_manager.HostManager, name)
            AggregateHintFilter()
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 6
    assert "reads all services" in caplog.text


def test_switched_off_it_is_not_put_in_place_and_nothing_is_said(place, stock_nova, nova_reads, caplog):
    nova_reads(AggregateHintFilter)
    assert own_method() is stock_nova
    assert caplog.text == ""

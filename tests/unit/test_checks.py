# SPDX-License-Identifier: Apache-2.0
"""Checks are judged, causes are told from consequences; a wait ends when they are silent, or fails with the last thing it saw."""

from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbaro.checks import (
    ERROR,
    NOTE,
    UNKNOWN,
    WARNING,
    Check,
    Finding,
    Need,
    Spot,
    causes,
    consequences,
    judge,
    troubles,
    wait_until_silent,
)
from arbaro.errors import WaitTimeout
from arbaro.evidence import Evidence, Seen

#: A small system: check → the checks that it needs, for the same thing.
NEEDS = {"host": (), "queue": ("host",), "agent": ("host", "queue"), "port": ("agent",)}
STATES = ("well", "broken", "not seen")


def check_of(name: str) -> Check:
    """A check that says what the evidence says."""

    def look(evidence: Evidence, spot: Spot) -> Finding | None:
        return Finding(name, "broken") if evidence.value(name, "state") == "broken" else None

    def needs(_: Evidence, spot: Spot) -> Iterable[Need]:
        return [(need, spot) for need in NEEDS[name]]

    return Check(name, ERROR, lambda _: [Spot(thing=name)], look, needs)


CHECKS = [Check(c.id, c.severity, lambda _: [Spot("h")], c.look, c.needs) for c in map(check_of, NEEDS)]


def found(states: Mapping[str, str]) -> dict[str, Finding]:
    """Judge the small system."""
    facts = {
        name: {"state": Seen(error="timed out") if state == "not seen" else Seen(state)}
        for name, state in states.items()
    }
    return {finding.check: finding for finding in judge(CHECKS, Evidence("lab", facts))}


def test_a_healthy_system_is_silent() -> None:
    assert found(dict.fromkeys(NEEDS, "well")) == {}


def test_what_is_broken_because_of_something_else_is_a_consequence() -> None:
    said = found(dict.fromkeys(NEEDS, "broken"))
    assert {name: finding.consequence_of for name, finding in said.items()} == {
        "host": (),
        "queue": ("host/h",),
        "agent": ("host/h",),
        "port": ("host/h",),
    }
    assert [finding.check for finding in consequences(said["host"], said.values())] == ["queue", "agent", "port"]


def test_a_hole_is_neither_fine_nor_broken_and_leads_on_to_the_cause() -> None:
    said = found({"host": "broken", "queue": "not seen", "agent": "broken", "port": "well"})
    assert {name: (finding.severity, finding.consequence_of) for name, finding in said.items()} == {
        "host": (ERROR, ()),
        "queue": (UNKNOWN, ("host/h",)),
        "agent": (ERROR, ("host/h",)),
    }
    assert str(said["queue"]) == "queue: could not look at state: timed out"


def test_what_could_not_be_looked_at_excuses_nothing_that_is_broken() -> None:
    said = found({"host": "well", "queue": "not seen", "agent": "broken", "port": "not seen"})
    assert said["agent"].consequence_of == ()
    assert said["port"].consequence_of == ("agent/h",)


@given(st.fixed_dictionaries({name: st.sampled_from(STATES) for name in NEEDS}))
def test_a_cause_never_needs_anything_broken(states: Mapping[str, str]) -> None:
    said = found(states)
    assert set(said) == {name for name, state in states.items() if state != "well"}

    def stands_on(name: str) -> set[str]:
        """What a check needs, and what that needs where it is ill itself."""
        ill = [need for need in NEEDS[name] if need in said]
        return {*ill, *(deeper for need in ill for deeper in stands_on(need))}

    for name, finding in said.items():
        broken = {need for need in stands_on(name) if said[need].severity == ERROR}
        unseen = stands_on(name) - broken
        assert bool(finding.consequence_of) == bool(broken or (finding.severity == UNKNOWN and unseen))
    assert bool(causes(said.values())) == bool(said)


def test_where_even_the_list_was_not_seen_nothing_is_called_broken() -> None:
    check = Check(
        "listed", ERROR, lambda evidence: [Spot(thing=one) for one in evidence.value("all", "things")],
        lambda _, spot: Finding(spot.thing, "is in the list"),
    )  # fmt: skip
    assert [finding.severity for finding in judge([check], Evidence("lab", {"all": {"things": Seen(["a"])}}))] == [
        ERROR
    ]
    assert [finding.severity for finding in judge([check], Evidence("lab"))] == [UNKNOWN]


def test_the_same_hole_is_told_once() -> None:
    def look(evidence: Evidence, spot: Spot) -> Finding | None:
        return Finding(spot.host, "ill") if evidence.value(spot.host, "units")[spot.thing] else None

    check = Check("unit", ERROR, lambda _: [Spot("compute1", name) for name in "abc"], look)
    (hole,) = judge([check], Evidence("lab", {"compute1": {"units": Seen(error="took too long")}}))
    assert (hole.host, hole.severity, hole.key) == ("compute1", UNKNOWN, "unit/compute1")


def test_a_judgement_adds_what_programs_ask_for() -> None:
    check = Check("odd", WARNING, lambda _: [Spot("compute1", "x")], lambda *_: Finding("x", "is odd", run="ls"))
    assert judge([check], Evidence("lab")) == [
        Finding("x", "is odd", "", "ls", "odd", WARNING, "compute1", "odd/compute1/x", ())
    ]


def test_a_note_is_no_trouble() -> None:
    check = Check("old", NOTE, lambda _: [Spot("compute1")], lambda *_: Finding("compute1", "is old"))
    assert troubles(judge([check], Evidence("lab"))) == []


def test_a_wait_ends_when_nothing_is_found() -> None:
    answers = iter([[Finding("nova", "starting")], []])
    notes: list[str] = []
    wait_until_silent(lambda: next(answers), what="nova", timeout=5, interval=0, note=notes.append)
    assert notes == ["nova: starting"]


def test_a_timeout_says_the_last_state_and_the_next_command() -> None:
    finding = Finding("compute1", "nova-compute is down", run="arbaro logs default compute1")
    with pytest.raises(WaitTimeout) as caught:
        wait_until_silent(lambda: [finding], what="All services up", timeout=0, interval=0)
    assert "nova-compute is down" in str(caught.value)
    assert caught.value.hint == "arbaro logs default compute1"

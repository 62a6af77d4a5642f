# SPDX-License-Identifier: Apache-2.0
"""The table of moves keeps what the whole service relies on."""

from pathlib import Path

import pytest
from arbaro_machines import states
from arbaro_machines.database.models import Machine, Task
from arbaro_machines.errors import STATUS
from arbaro_machines.faults import NEXT_STEPS
from arbaro_machines.steps import plans, ramdisk

PAGE = (Path(__file__).parents[3] / "docs/reference/machines-api.md").read_text()


def test_every_state_can_be_left() -> None:
    for state, verbs in states.MOVES.items():
        assert verbs or state in states.ENDS or state in states.DELETABLE, state


def test_moves_lead_to_states_that_exist() -> None:
    targets = {target for verbs in states.MOVES.values() for target in verbs.values()}
    targets |= {target for ends in states.ENDS.values() for target in ends}
    assert targets <= set(states.MOVES)


def test_only_a_cleaned_machine_comes_into_the_stock() -> None:
    into = [state for state, ends in states.ENDS.items() if states.AVAILABLE in ends]
    assert into == [states.CLEANING]
    assert not any(target == states.AVAILABLE for verbs in states.MOVES.values() for target in verbs.values())


def test_a_failed_cleaning_is_not_repeated_by_itself() -> None:
    assert states.ENDS[states.CLEANING][1] == states.CLEAN_FAILED
    assert states.CLEAN_FAILED not in states.ENDS


def test_what_is_held_can_always_be_given_back() -> None:
    assert all("release" in states.MOVES[state] for state in states.HELD)


@pytest.mark.parametrize("state", states.MOVES)
def test_holders_never_get_operators_verbs(state: str) -> None:
    legal = states.legal_verbs(state, operator=False, busy=False, maintenance=False)
    assert not set(legal) & states.OPERATORS_VERBS


def test_each_plan_has_each_name_once() -> None:
    machine = Machine(written=True)
    tasks = [Task(verb=verb) for verb in ("inspect", "deploy", "clean", "rescue", "unrescue")]
    tasks += [Task(verb="power", request={"target": target}) for target in plans.SWITCHES]
    for task in tasks:
        names = [step.name for step in plans.steps_of(task, machine)]
        assert len(names) == len(set(names)), (task.verb, names)


def test_page_names_every_state_fault_and_error() -> None:
    wanted = set(states.MOVES) | set(NEXT_STEPS) | set(STATUS)
    assert [word for word in sorted(wanted) if f"`{word}`" not in PAGE] == []
    assert set(NEXT_STEPS) >= ramdisk.RAMDISKS_FAULTS

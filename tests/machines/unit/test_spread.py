# SPDX-License-Identifier: Apache-2.0
"""Spreading over failure domains, for any stock."""

from arbaro_machines.reservations import plan_spread
from hypothesis import given
from hypothesis import strategies as st

places = st.sampled_from([("a",), ("b",), ("c",), ("d",)])
stocks = st.dictionaries(places, st.integers(1, 5))
counts = st.integers(1, 12)


@given(stocks, st.dictionaries(places, st.integers(0, 3)), counts)
def test_strict_never_puts_two_into_one_place(free, held, count) -> None:
    plan = plan_spread(free, held, count, strict=True)
    assert all(number == 1 and not held.get(place) for place, number in plan.items())
    open_places = [place for place in free if not held.get(place)]
    assert len(plan) == min(count, len(open_places)), "and takes all that it can"


@given(stocks, counts)
def test_best_effort_is_as_even_as_the_stock_allows(free, count) -> None:
    plan = plan_spread(free, {}, count, strict=False)
    assert sum(plan.values()) == min(count, sum(free.values()))
    with_rest = [plan.get(place, 0) for place, number in free.items() if plan.get(place, 0) < number]
    if with_rest:
        assert max(plan.values(), default=0) - min(with_rest) <= 1, "no place has two more than one that has some left"


def test_what_the_group_has_counts() -> None:
    assert plan_spread({("a",): 5, ("b",): 5}, {("a",): 2}, 2, strict=False) == {("b",): 2}

# SPDX-License-Identifier: Apache-2.0
"""Which kinds of requests there are, which scheduler each goes to, and in which order they are asked. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from crowd import Crowd


@dataclass(frozen=True)
class Kind:
    """A row of the table: which variant of the scheduler is asked, and each request's aggregate (None: no hint)."""

    title: str
    variant: str
    wanted: Sequence[int | None]


def fresh_kinds(crowd: Crowd, count: int) -> list[Kind]:
    """What schedulers are asked that have just started, when each request costs a look at each candidate's servers."""
    return [
        Kind("no hint, just started", "ours", [None] * count),
        Kind("with a hint, just started", "ours", list(spread(8 * count, crowd, count))),
    ]


def settled_kinds(crowd: Crowd, *, hinted: int, unhinted: int, all_services: int, alone: int) -> list[Kind]:
    """What they are asked when all computes have reported their servers."""
    return [
        Kind("no hint, nova without our plug-in", "without", [None] * unhinted),
        Kind("no hint", "ours", [None] * unhinted),
        Kind("with a hint", "ours", list(spread(hinted, crowd, hinted // 20))),
        Kind("with a hint, all services read", "all_services", list(spread(all_services, crowd, all_services // 20))),
        Kind("with a hint, by the filter alone", "alone", list(spread(alone, crowd, alone // 3))),
    ]


def spread(count: int, crowd: Crowd, lonely: int) -> list[int]:
    """Choose aggregates for so many requests: each in turn, and at even distances so many for the lonely one."""
    step = max(1, count // max(1, lonely))
    others = crowd.aggregates - 1
    return [crowd.lonely if i % step == step - 1 else i % others + 1 for i in range(count)]


def turns(kinds: Sequence[Kind]) -> list[tuple[int, int | None]]:
    """Ask all kinds side by side, each evenly over the whole time: what else the machine does meets them all alike.

    Of two kinds of equal number, now the one and now the other is first. Returns each request's kind and aggregate.
    """
    order = [
        ((i + 0.5) / len(kind.wanted), n if i % 2 else -n, n, aggregate)
        for n, kind in enumerate(kinds)
        for i, aggregate in enumerate(kind.wanted)
    ]
    order.sort(key=lambda one: one[:2])
    return [(n, aggregate) for _, _, n, aggregate in order]

# SPDX-License-Identifier: Apache-2.0
"""Which computes and aggregates there are to be: names and uuids that sort by number. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

PREFIX = "bench-"


@dataclass(frozen=True)
class Compute:
    """One compute host, and the number of the aggregate that it is in."""

    number: int
    aggregate: int

    @property
    def name(self) -> str:
        return f"{PREFIX}{self.number:05d}"

    @property
    def uuid(self) -> str:
        """The uuid of its compute node, its service and its resource provider."""
        return f"{self.number:08x}-c0de-4000-8000-{self.number:012x}"


@dataclass(frozen=True)
class Crowd:
    """So many computes, spread evenly over the aggregates but the last, which has the last compute and no other."""

    computes: int
    aggregates: int

    def __iter__(self) -> Iterator[Compute]:
        for number in range(1, self.computes):
            yield Compute(number, number % (self.aggregates - 1) + 1)
        yield Compute(self.computes, self.lonely)

    @property
    def lonely(self) -> int:
        """The number of the aggregate whose only host sorts last, far beyond what placement hands out."""
        return self.aggregates

    def hosts(self) -> dict[int, frozenset[str]]:
        """Aggregate's number → the names of its hosts."""
        found: dict[int, set[str]] = {number: set() for number in range(1, self.aggregates + 1)}
        for compute in self:
            found[compute.aggregate].add(compute.name)
        return {number: frozenset(names) for number, names in found.items()}


def aggregate_name(number: int) -> str:
    """The name of an aggregate."""
    return f"{PREFIX}aggregate-{number:03d}"


def aggregate_uuid(number: int) -> str:
    """The uuid of an aggregate, in nova and in placement."""
    return f"{number:08x}-a99e-4000-8000-{number:012x}"


def scheduler_host(variant: str) -> str:
    """The name by which one of the schedulers is asked, and goes into the database."""
    return f"{PREFIX}{variant.replace('_', '-')}"

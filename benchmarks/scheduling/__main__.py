# SPDX-License-Identifier: Apache-2.0
"""Scheduling among 10,000 hypervisors: with the aggregate in the query, without a hint, and by a filter alone.

    .venv/bin/python benchmarks/scheduling CLOUD                   fills the cloud CLOUD, asks, empties it again
    .venv/bin/python benchmarks/scheduling CLOUD --computes 60 …   the same, small
    .venv/bin/python benchmarks/scheduling CLOUD --profile         only where the time of one request goes
    .venv/bin/python benchmarks/scheduling CLOUD --clean           only empties it, after a run that was killed

What is real: MariaDB, RabbitMQ, placement, nova-scheduler, and the requests, which come over RPC as nova-conductor's
do. What is not: the computes. They are rows, copied from the first real compute's. Servers that are created meanwhile
may land on them: take a cloud that nobody needs.

Four nova-schedulers run side by side, each with a configuration of its own, and are asked in turn.
"""

import argparse
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from controller import Controller, say, told
from crowd import Crowd, aggregate_name, aggregate_uuid
from kinds import Kind, fresh_kinds, settled_kinds, turns
from result import Answer, Run, collected, comparisons, shortfalls, table

VARIANTS = ("without", "ours", "all_services", "alone")


def main() -> int:
    """Fill, ask, empty; print the table, and end with 1 if something is not as it was wanted."""
    wish = parse()
    # An order to end shall take the same way out as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    controller, crowd = Controller(wish.cloud), Crowd(wish.computes, wish.aggregates)
    controller.send()
    with taken_away(controller):
        if wish.clean:
            return 0
        controller.script("scheduler.py stop")
        with told("Filling"):
            filled = controller.fill(f"{crowd.computes} {crowd.aggregates}")
        memory = f"Filled in {filled['seconds']:.1f} s, {filled['peak_mib']} MiB at most: {sizes(controller)}."
        say(memory)
        if wish.profile:
            return profile(controller, crowd)
        own = float(controller.script("own_cost.py", user="nova"))
        runs = measure(controller, crowd, filled["aggregates"], wish)
    return tell(runs, crowd, wish.faster, own, memory)


@contextmanager
def taken_away(controller: Controller) -> Iterator[None]:
    """At the end, whatever ends it, take away what we have filled, and have the cloud's own nova-scheduler run."""
    try:
        yield
    finally:
        # Who is in a hurry now would leave the cloud with 10,000 computes that are not there.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        controller.script("scheduler.py stop")
        try:
            with told("Emptying"):
                controller.fill()
        finally:
            controller.script("scheduler.py restore")


def measure(controller: Controller, crowd: Crowd, ids: dict[str, int], wish: argparse.Namespace) -> dict[str, Run]:
    """Ask the schedulers as they have just started, and when all computes have reported their servers."""
    deadline = time.monotonic() + wish.minutes * 60

    def ask(what: str, kinds: Sequence[Kind]) -> dict[str, Run]:
        order, asked = turns(kinds), list[tuple[int, Answer]]()
        questions = ((kinds[n].variant, name_of(aggregate, ids)) for n, aggregate in order)
        with told(what, lambda: f"{len(asked)} of {len(order)}"):
            for (n, _), answer in zip(order, controller.ask(questions), strict=False):
                asked.append((n, answer))
                if time.monotonic() > deadline:
                    break
        return collected(kinds, asked)

    def warm(variants: Sequence[str]) -> None:
        ask("First requests, not counted", [Kind(variant, variant, [None, 1]) for variant in variants])

    names = " ".join(VARIANTS)
    with told("Starting nova-schedulers"):
        memory = controller.script(f"scheduler.py start {wish.candidates} {names}").strip()
    say(f"Their memory in MiB: {memory}")
    fresh = fresh_kinds(crowd, wish.fresh)
    warm(["ours"])
    runs = ask("Just started", fresh)
    with told("Computes report"):
        for _ in range(2):
            controller.script(f"settle.py {crowd.computes} {crowd.aggregates}", user="nova")
            memory = controller.script(f"scheduler.py wait {names}").strip()
    say(f"Their memory in MiB: {memory}")
    warm(VARIANTS)
    return runs | ask("Settled", settled_kinds(crowd, **{key: vars(wish)[key] for key in COUNTS}))


def name_of(aggregate: int | None, ids: dict[str, int]) -> Any:
    """How a request names an aggregate: by id and by uuid in turn, as both are ways to."""
    if aggregate is None:
        return None
    return ids[aggregate_name(aggregate)] if aggregate % 2 else aggregate_uuid(aggregate)


def tell(runs: dict[str, Run], crowd: Crowd, faster: float, own: float, memory: str) -> int:
    """Print what came out."""
    print(
        f"\n{crowd.computes:,} computes in {crowd.aggregates} aggregates. {memory}\n\n{table(runs.values(), crowd)}\n"
    )
    print("\n".join(comparisons(runs, own)))
    found = shortfalls(runs, crowd, faster=faster, own_microseconds=own)
    print("".join(f"NOT AS WANTED: {one}\n" for one in found), end="")
    return 1 if found else 0


def profile(controller: Controller, crowd: Crowd) -> int:
    """Print where the time of a request goes."""
    for what, hint in (("No hint", ""), ("With a hint", aggregate_uuid(1))):
        with told(what):
            found = controller.script(f"profile_request.py {crowd.computes} {crowd.aggregates} {hint}", user="nova")
        print(f"\n{what}\n\n{found}")
    return 0


def sizes(controller: Controller) -> str:
    """Ask MariaDB how large the databases are now."""
    query = (
        "SELECT table_schema, ROUND(SUM(data_length + index_length) / 1048576) FROM information_schema.tables"
        " WHERE table_schema IN ('nova', 'nova_api', 'placement') GROUP BY 1"
    )
    rows = [line.split() for line in controller.run(f'mysql -BN -e "{query}"').splitlines()]
    return ", ".join(f"{name} {size} MiB" for name, size in rows)


#: How many requests of each kind, and what they are.
COUNTS = {
    "hinted": (300, "requests with a hint"),
    "unhinted": (30, "requests without one, and as many to a nova without our plug-in"),
    "all_services": (60, "requests with a hint while all services are read, as nova does"),
    "alone": (30, "requests by the filter alone"),
}


def parse() -> argparse.Namespace:
    """Read what is wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cloud")
    parser.add_argument("--computes", type=int, default=10_000)
    parser.add_argument("--aggregates", type=int, default=200)
    parser.add_argument("--candidates", type=int, default=1000, help="[scheduler] max_placement_results")
    for name, (count, text) in COUNTS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=count, help=text)
    parser.add_argument("--fresh", type=int, default=5, help="requests without a hint to schedulers just started")
    parser.add_argument("--minutes", type=float, default=40, help="no more is asked after so many minutes")
    parser.add_argument("--faster", type=float, default=4, help="how many times as fast a hint must make it")
    parser.add_argument("--profile", action="store_true", help="only show where the time of one request goes")
    parser.add_argument("--clean", action="store_true", help="only take away what a killed run has left")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

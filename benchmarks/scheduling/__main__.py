# SPDX-License-Identifier: Apache-2.0
"""Scheduling among 10,000 hypervisors: with the aggregate in the query, without a hint, and by a filter alone.

    .venv/bin/python benchmarks/scheduling CLOUD                   fills the cloud CLOUD, asks, empties it again
    .venv/bin/python benchmarks/scheduling CLOUD --computes 60 …   the same, small

What is real: MariaDB, RabbitMQ, placement, nova-scheduler, and the requests, which come over RPC as nova-conductor's
do. What is not: the computes. They are rows, copied from the first real compute's. Servers that are created meanwhile
may land on them: take a cloud that nobody needs.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from crowd import Crowd, aggregate_name, aggregate_uuid
from result import Run, shortfalls, spread, table

ROOT = Path(__file__).parents[2]
THERE = "/usr/local/lib/arbaro-benchmark"


class Controller:
    """Runs our scripts on a cloud's controller."""

    def __init__(self, cloud: str) -> None:
        self.cloud = cloud

    def run(self, command: str, stdin: bytes = b"") -> str:
        """Run a command there as root; it ends us with what it said if it fails."""
        argv = [ROOT / "arbaro", "ssh", self.cloud, "controller", "--", command]
        done = subprocess.run(argv, input=stdin, capture_output=True, timeout=3600)
        if done.returncode:
            raise SystemExit(f"{command} failed:\n{done.stdout.decode()}{done.stderr.decode()}")
        return done.stdout.decode()

    def send(self) -> None:
        """Lay the scripts there, where the user nova can read them."""
        archive = ["tar", "-c", "--owner=0", "--group=0", "--mode=u=rwX,go=rX", "--exclude=__pycache__", "."]
        packed = subprocess.run(archive, cwd=Path(__file__).parent, capture_output=True, check=True).stdout
        self.run(f"mkdir -p {THERE} && tar -x -C {THERE}", packed)

    def script(self, words: str, stdin: str = "", user: str = "root") -> str:
        """Run one of the scripts."""
        return self.run(f"cd {THERE} && runuser -u {user} -- python3 -B {words}", stdin.encode())

    def ask(self, hints: list[Any]) -> list[dict[str, Any]]:
        """Have these requests scheduled, one after the other."""
        answers: list[dict[str, Any]] = json.loads(self.script("ask.py", json.dumps(hints), user="nova"))
        return answers


def main() -> int:
    """Fill, ask, empty; print the table, and end with 1 if something is not as it was wanted."""
    wish = parse()
    controller, crowd = Controller(wish.cloud), Crowd(wish.computes, wish.aggregates)
    controller.send()
    try:
        filled = json.loads(controller.script(f"fill.py {crowd.computes} {crowd.aggregates}"))
        say(f"Filled in {filled['seconds']:.1f} s, {filled['peak_mib']} MiB at most: {sizes(controller)}.")
        if wish.profile:
            return profile(controller)
        runs = measure(controller, crowd, filled["aggregates"], wish)
    finally:
        emptied = json.loads(controller.script("fill.py"))
        controller.script("scheduler.py stop")
        say(f"Emptied in {emptied['seconds']:.1f} s.")
    return tell(runs, crowd, wish.faster)


def measure(controller: Controller, crowd: Crowd, ids: dict[str, int], wish: argparse.Namespace) -> dict[str, Run]:
    """Ask each variant of the scheduler in turn."""

    def start(variant: str) -> None:
        memory = controller.script(f"scheduler.py {variant} {wish.candidates}").strip()
        for _ in range(2 if wish.settle else 0):
            controller.script(f"settle.py {crowd.computes} {crowd.aggregates}", user="nova")
            memory = controller.script(f"scheduler.py wait {variant}").strip()
        controller.ask([None, None])
        say(f"nova-scheduler ({variant}) is ready with {memory} MiB.")

    def run(kind: str, wanted: list[int | None]) -> Run:
        began = time.monotonic()
        # By id and by uuid in turn: both are ways to name an aggregate.
        names = [(ids[aggregate_name(n)] if n % 2 else aggregate_uuid(n)) if n else None for n in wanted]
        found = Run(kind, wanted, controller.ask(names))
        say(f"{kind}: {len(wanted)} in {time.monotonic() - began:.0f} s")
        return found

    free: list[int | None] = [None] * wish.unhinted
    runs = {}
    start("without")
    runs["bare"] = run("no hint, nova without our plug-in", free)
    start("ours")
    runs["free"] = run("no hint", free)
    runs["hinted"] = run("with a hint", list(spread(wish.hinted, crowd, wish.hinted // 20)))
    start("alone")
    runs["alone"] = run("with a hint, by the filter alone", list(spread(wish.alone, crowd, wish.alone // 3)))
    return runs


def tell(runs: dict[str, Run], crowd: Crowd, faster: float) -> int:
    """Print what came out."""
    print(f"\n{crowd.computes:,} computes in {crowd.aggregates} aggregates\n\n{table(list(runs.values()), crowd)}\n")
    hinted, free, bare = runs["hinted"], runs["free"], runs["bare"]
    print(f"With a hint it is {free.median / hinted.median:.1f} times as fast as without.")
    print(f"Without a hint it takes {(free.median / bare.median - 1) * 100:+.1f} % of the time without our plug-in.")
    found = shortfalls(hinted, free, runs["alone"], crowd, faster)
    print("".join(f"NOT AS WANTED: {one}\n" for one in found), end="")
    return 1 if found else 0


def profile(controller: Controller) -> int:
    """Print where the time of a request goes."""
    for what, hint in (("no hint", ""), ("with a hint", aggregate_uuid(1))):
        print(f"\n{what}\n{controller.script(f'profile_request.py {hint}', user='nova')}")
    return 0


def sizes(controller: Controller) -> str:
    """Ask MariaDB how large the databases are now."""
    query = (
        "SELECT table_schema, ROUND(SUM(data_length + index_length) / 1048576) FROM information_schema.tables"
        " WHERE table_schema IN ('nova', 'nova_api', 'placement') GROUP BY 1"
    )
    rows = [line.split() for line in controller.run(f'mysql -BN -e "{query}"').splitlines()]
    return ", ".join(f"{name} {size} MiB" for name, size in rows)


def say(text: str) -> None:
    """Say how far it is."""
    print(text, file=sys.stderr, flush=True)


def parse() -> argparse.Namespace:
    """Read what is wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cloud")
    parser.add_argument("--computes", type=int, default=10_000)
    parser.add_argument("--aggregates", type=int, default=200)
    parser.add_argument("--candidates", type=int, default=1000, help="[scheduler] max_placement_results")
    parser.add_argument("--hinted", type=int, default=300, help="requests with a hint")
    parser.add_argument("--unhinted", type=int, default=30, help="requests without one, for each of two schedulers")
    parser.add_argument("--alone", type=int, default=30, help="requests by the filter alone")
    parser.add_argument("--faster", type=float, default=4, help="how many times as fast a hint must make it")
    parser.add_argument(
        "--settle", action=argparse.BooleanOptionalAction, default=True, help="have computes report servers"
    )
    parser.add_argument("--profile", action="store_true", help="only show where the time of one request goes")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

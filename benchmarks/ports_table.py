# SPDX-License-Identifier: Apache-2.0
"""What ports.py has found, as a Markdown table; of several networks side by side. Pure, but for reading the files.

.venv/bin/python benchmarks/ports_table.py l2isolate.json linuxbridge.json      written by ports.py --json
"""

import json
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Figures = dict[str, Any]
#: What is wanted of our own network (issue 3), by row.
WANTED = {"all in place": "p99 2 s", "agents' start, to steady": "15 s", "memory": "300 MiB"}


def table(found: list[Figures]) -> str:
    """Return a column for each network; all have the same rows."""
    columns = [list(rows(one)) for one in found]
    head = ["times: p50 / p99", "wanted", *(one["network"] for one in found)]
    lines = [["---", *["---:"] * (len(found) + 1)]]
    for number, (name, _) in enumerate(columns[0]):
        lines.append([name, WANTED.get(name, "–"), *(column[number][1] for column in columns)])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, *lines])


def rows(found: Figures) -> Iterator[tuple[str, str]]:
    """Yield (what, value)."""
    once, fill, one, start = found["at_once"], found["fill"], found["one_more"], found["start"]
    yield "ports that come at once", f"{once['reached']} of {once['ports']}"
    yield "all in place", spread(once["in_place"])
    yield "– route", spread(once["route"]) if "route" in once else "nova's part"
    yield "– rules", spread(once["filter"])
    yield "– DHCP", spread(once["dhcp"])
    yield "ACTIVE in neutron", spread(once["active"])
    yield "messages to neutron-server, each port", f"{to_server(once) / once['ports']:.2f}"
    yield "messages to agents, each port", f"{to_agents(once) / once['ports']:.2f}"
    yield "taps in place after filling up", f"{fill['in_place']} of {fill['taps']} ({fill['s']:.0f} s)"
    yield "one more port beside them: in place", spread(one["in_place"])
    yield "one more port: ACTIVE in neutron", spread(one["active"])
    yield "one more port: messages to neutron-server", f"{to_server(one) / max(len(one['in_place']), 1):.2f}"
    yield "agents' start, to steady", steady(start, found["minutes"])
    yield "– messages to neutron-server", f"{to_server(start)}"
    yield "memory", f"{sum(found['memory'].values())} MiB"


def steady(start: Figures, minutes: float) -> str:
    """Say how long the agents' start took."""
    late = f"not within {minutes:.0f} min with {start['taps']} taps"
    return f"{start['steady_s']:.1f} s with {start['taps']} taps" if start["steady_s"] else late


def spread(times: list[float]) -> str:
    """Half of the times are below the first number, 99 of 100 below the second (of a few: all)."""
    if not times:
        return "none"
    times = sorted(times)
    return f"{statistics.median(times):.2f} / {times[min(len(times) - 1, int(len(times) * 0.99))]:.2f} s"


def to_server(figures: Figures) -> int:
    """How many messages went to neutron-server."""
    return sum(number for name, number in figures["messages"].items() if not name.startswith("<"))


def to_agents(figures: Figures) -> int:
    """How many messages neutron-server sent to agents."""
    return sum(number for name, number in figures["messages"].items() if name.startswith("<"))


def summary(figures: Figures) -> Figures:
    """The figures of a phase without each single port's."""
    return {key: spread(value) if isinstance(value, list) else value for key, value in figures.items()}


if __name__ == "__main__":
    print(table([json.loads(Path(name).read_text()) for name in sys.argv[1:]]))

# SPDX-License-Identifier: Apache-2.0
"""How long a personal cloud takes, and how much memory: a table per phase.

    .venv/bin/python benchmarks/up.py                 warm: the images are there (default: 3 runs)
    .venv/bin/python benchmarks/up.py --cold          cold: images are built first (removes unused ones)

The cloud is called `bench` and is taken away afterwards. Memory is the sum of the proportional set sizes (PSS) of all
processes of a host, read from /proc/*/smaps_rollup, once first-vm runs.
"""

import argparse
import json
import re
import shutil
import statistics
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
ARBARO = str(ROOT / "arbaro")
LINE = re.compile(r"^  ✓ (.+?)  (?:(\d+) min )?(\d+) s$")
PSS = "cat /proc/[0-9]*/smaps_rollup 2>/dev/null | awk '/^Pss:/ {sum += $2} END {print int(sum / 1024)}'"


def timed(*words: str) -> tuple[float, str]:
    """Run arbaro; returns seconds and output."""
    began = time.monotonic()
    done = subprocess.run([ARBARO, *words], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{words} failed:\n{done.stdout}\n{done.stderr}")
    return time.monotonic() - began, done.stdout


def phases(output: str) -> dict[str, float]:
    """Read the seconds of each step off what `up` printed."""
    found = (LINE.match(line) for line in output.splitlines())
    return {match[1]: int(match[2] or 0) * 60.0 + int(match[3]) for match in found if match}


def memory() -> dict[str, float]:
    """MiB of each host, guests included."""
    rows = json.loads(timed("status", "bench", "--json")[1])["items"]
    hosts = [row["name"] for row in rows if row["kind"] == "host"]
    return {host: float(timed("ssh", "bench", host, "--", PSS)[1]) for host in hosts}


def table(title: str, rows: dict[str, list[float]], unit: str) -> None:
    """Print a Markdown table with minimum, median and maximum."""
    print(f"\n| {title} | min | median | max |\n|---|---:|---:|---:|")
    for name, values in rows.items():
        low, middle, high = min(values), statistics.median(values), max(values)
        print(f"| {name} | {low:.1f} {unit} | {middle:.1f} {unit} | {high:.1f} {unit} |")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    seconds: dict[str, list[float]] = {}
    mib: dict[str, list[float]] = {}
    timed("down", "bench")
    for _ in range(1 if arguments.cold else arguments.runs):
        if arguments.cold:
            subprocess.run(["sh", "-c", "podman rmi --force $(podman images --quiet --filter label=arbaro.image)"])
            shutil.rmtree(Path.home() / ".cache/arbaro", ignore_errors=True)
        took, output = timed("up", "bench")
        for name, value in {**phases(output), "**`arbaro up`, in all**": took}.items():
            seconds.setdefault(name, []).append(value)
        found = memory()
        for name, value in {**found, "**all hosts**": sum(found.values())}.items():
            mib.setdefault(name, []).append(value)
        seconds.setdefault("`arbaro down`", []).append(timed("down", "bench")[0])
    seconds["`arbaro --help`"] = [timed("--help")[0] for _ in range(9)]
    table("cold" if arguments.cold else "warm", seconds, "s")
    table("resident memory", mib, "MiB")


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""An Ansible inventory of 10,000 hosts: read for the first time, read again, selected from. Needs no cloud.

    .venv/bin/python benchmarks/inventory.py [HOSTS]

Stands in: the hosts are names only. Real: Ansible, which reads the file, and all of our own reading.
"""

import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def ini(hosts: int) -> str:
    """One group of all hosts, one for each rack of 40 and each wave of 200; eight variables a host."""
    names = [f"hv{number:05d}" for number in range(hosts)]
    lines = ["[compute]"]
    for number, name in enumerate(names):
        place = f"rack=r{number // 40} row=w{number // 1000} slot={number % 40} asset=s{number} site=a model=x1"
        lines.append(f"{name} ansible_host=10.{number >> 16}.{number >> 8 & 255}.{number & 255} {place} bmc=10.9.0.1")
    for kind, size in (("rack", 40), ("wave", 200)):
        for first in range(0, hosts, size):
            lines += [f"[{kind}_{first // size}]", *names[first : first + size]]
    return "\n".join([*lines, "[prod:children]", "compute", "[prod:vars]", "ansible_user=ops", ""])


def timed(what: str, call: Callable[[], Any]) -> Any:
    """Print a row with the seconds that a call takes, on the clock and of the processors."""
    began, used = time.monotonic(), cpu()
    answer = call()
    print(f"| {what} | {time.monotonic() - began:.2f} | {cpu() - used:.2f} |", flush=True)
    return answer


def cpu() -> float:
    """Processor seconds of this process and of those that it has waited for."""
    own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


def main() -> None:
    """Print the table."""
    hosts = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as place:
        os.environ["XDG_CACHE_HOME"] = place
        from arbaro.ansible_inventory import read_inventory

        source = Path(place) / "hosts.ini"
        source.write_text(ini(hosts))
        print(f"| {hosts:,} hosts | seconds | CPU seconds |\n|---|---:|---:|")
        timed("read for the first time (by Ansible)", lambda: read_inventory(source))
        inventory = timed("read again", lambda: read_inventory(source))
        found = timed("`compute:!rack_7:&wave_1`", lambda: inventory.select("compute:!rack_7:&wave_1"))
        timed("the ways to all hosts", lambda: [inventory.reach(name).ssh() for name in inventory.hosts])
        assert len(found) == min(200, hosts - 200) - 40, "rack_7 is in wave_1"


if __name__ == "__main__":
    main()

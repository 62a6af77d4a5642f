# SPDX-License-Identifier: Apache-2.0
"""Run variants of the controller's nova-scheduler side by side, in the place of its unit, each with a name of its own.

    scheduler.py start 1000 ours without      these two, with 1,000 candidates at most
    scheduler.py wait ours without            until they have stopped working
    scheduler.py stop                         all of them
    scheduler.py restore                      the unit again

`start` and `wait` return when the schedulers have stopped working, which is when they have read what they read. They
print how much memory each has, in MiB, as JSON.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

from crowd import scheduler_host
from fill import read

HERE = Path(__file__).parent
UNITS = "arbaro-benchmark-"
OURS = "AggregateHintFilter"
#: Computes that are not there report once, when they are made; they shall stay up. A line in the log for each refused
#: host would cost more than the filter itself.
SETTINGS = """\
[DEFAULT]
host = {host}
service_down_time = 86400
default_log_levels = arbaro_nova=WARNING
[scheduler]
max_placement_results = {candidates}
workers = 1
[filter_scheduler]
{filters}
"""
ALL_SERVICES = "[arbaro]\nfew_candidates = 0\n"


def settings_of(variant, enabled, candidates):
    """The configuration of a variant, given the filters that are enabled in this cloud."""
    others = ",".join(name for name in enabled if name != OURS)
    filters = {
        "ours": f"enabled_filters = {others},{OURS}",
        "all_services": f"enabled_filters = {others},{OURS}",
        "alone": f"available_filters = filter_alone.FilterAlone\nenabled_filters = {others},FilterAlone",
        "without": f"enabled_filters = {others}",
    }[variant]
    settings = SETTINGS.format(host=scheduler_host(variant), candidates=candidates, filters=filters)
    return settings + (ALL_SERVICES if variant == "all_services" else "")


def systemctl(*words):
    """Do something to units; one that is not there is no error."""
    return subprocess.run(["systemctl", *words], check=False, stderr=subprocess.DEVNULL).returncode == 0


def start(variant, candidates):
    """Start this variant."""
    enabled = read("/etc/nova/nova.conf")["filter_scheduler"]["enabled_filters"].split(",")
    settings = HERE / f"{variant}.conf"
    settings.write_text(settings_of(variant, enabled, candidates))
    command = ["nova-scheduler", "--config-file", "/etc/nova/nova.conf", "--config-file", str(settings)]
    limits = ["--uid=nova", "--gid=nova", "--collect", f"--setenv=PYTHONPATH={HERE}"]
    subprocess.run(["systemd-run", "--quiet", f"--unit={UNITS}{variant}", *limits, *command], check=True)


def wait_until_idle(variants, timeout=900):
    """Wait until the schedulers have used no processor time worth mentioning for three seconds."""
    deadline, before = time.monotonic() + timeout, -1.0
    while (now := sum(map(processor_seconds, variants))) < len(variants) or now - before > 0.15 * len(variants):
        for variant in variants:
            if not systemctl("is-active", "--quiet", f"{UNITS}{variant}"):
                raise SystemExit(f"nova-scheduler ({variant}) has ended: journalctl -u {UNITS}{variant}")
        if time.monotonic() > deadline:
            raise SystemExit(f"nova-scheduler is not idle after {timeout} s: journalctl -u '{UNITS}*'")
        before = now
        time.sleep(3)


def processes(variant):
    """Find the processes that were started with these settings: their directories in /proc."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(HERE / f"{variant}.conf") in process.joinpath("cmdline").read_text():
                yield process
        except (FileNotFoundError, ProcessLookupError):
            continue


def processor_seconds(variant):
    """What the processes of a variant have used."""
    total = 0
    for process in processes(variant):
        try:
            total += sum(map(int, process.joinpath("stat").read_text().rpartition(")")[2].split()[11:13]))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total / 100


def resident_mib(variant):
    """The memory of the processes of a variant."""
    pages = (int(process.joinpath("statm").read_text().split()[1]) for process in processes(variant))
    return sum(pages) * 4096 // 2**20


def main(verb, words):
    """Do it."""
    if verb in ("start", "stop"):
        systemctl("stop", f"{UNITS}*")
    if verb == "restore":
        systemctl("start", "nova-scheduler")
    variants = words
    if verb == "start":
        systemctl("stop", "nova-scheduler")
        candidates, *variants = words
        for variant in variants:
            start(variant, int(candidates))
    if variants:
        wait_until_idle(variants)
        print(json.dumps({variant: resident_mib(variant) for variant in variants}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

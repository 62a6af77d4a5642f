# SPDX-License-Identifier: Apache-2.0
"""Run the controller's nova-scheduler as it is configured, or with the filter alone, or without any of ours.

    scheduler.py ours 1000      in the place of the unit nova-scheduler, which is stopped; with 1,000 candidates at most
    scheduler.py stop           the unit again

Returns when the scheduler has read what it reads at its start, which is when it has stopped working.
"""

import subprocess
import sys
import time
from pathlib import Path

from fill import read

HERE = Path(__file__).parent
UNIT = "arbaro-benchmark-scheduler"
OURS = "AggregateHintFilter"
#: Computes that are not there report once, when they are made; they shall stay up.
SETTINGS = """\
[DEFAULT]
service_down_time = 86400
[scheduler]
max_placement_results = {candidates}
[filter_scheduler]
{filters}
"""


def filters_of(variant, enabled):
    """What [filter_scheduler] has to say, given the filters that are enabled in this cloud."""
    others = ",".join(name for name in enabled if name != OURS)
    return {
        "ours": f"enabled_filters = {others},{OURS}",
        "alone": f"available_filters = filter_alone.FilterAlone\nenabled_filters = {others},FilterAlone",
        "without": f"enabled_filters = {others}",
    }[variant]


def systemctl(*words):
    """Do something to a unit; one that is not there is no error."""
    subprocess.run(["systemctl", *words], check=False, stderr=subprocess.DEVNULL)


def start(variant, candidates):
    """Stop what schedules, and start this variant in its place."""
    enabled = read("/etc/nova/nova.conf")["filter_scheduler"]["enabled_filters"].split(",")
    settings = HERE / f"{variant}.conf"
    settings.write_text(SETTINGS.format(candidates=candidates, filters=filters_of(variant, enabled)))
    systemctl("stop", "nova-scheduler", UNIT)
    command = ["nova-scheduler", "--config-file", "/etc/nova/nova.conf", "--config-file", str(settings)]
    limits = ["--uid=nova", "--gid=nova", "--collect", f"--setenv=PYTHONPATH={HERE}"]
    subprocess.run(["systemd-run", "--quiet", f"--unit={UNIT}", *limits, *command], check=True)
    wait_until_idle(settings)


def wait_until_idle(settings, timeout=600):
    """Wait until the scheduler has used no processor time worth mentioning for three seconds."""
    deadline, before = time.monotonic() + timeout, -1.0
    while (now := processor_seconds(settings)) < 1 or now - before > 0.15:
        if time.monotonic() > deadline:
            raise SystemExit(f"nova-scheduler is not idle after {timeout} s: journalctl -u {UNIT}")
        before = now
        time.sleep(3)


def processor_seconds(settings):
    """What the processes that were started with these settings have used."""
    total = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(settings) in process.joinpath("cmdline").read_text():
                total += sum(map(int, process.joinpath("stat").read_text().rpartition(")")[2].split()[11:13]))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total / 100


def resident_mib():
    """The memory of the schedulers, in MiB."""
    found = subprocess.run(["ps", "-C", "nova-scheduler", "-o", "rss="], capture_output=True, text=True, check=False)
    return sum(map(int, found.stdout.split())) // 1024


if __name__ == "__main__":
    if sys.argv[1] == "stop":
        systemctl("stop", UNIT)
        systemctl("start", "nova-scheduler")
    elif sys.argv[1] == "wait":
        wait_until_idle(HERE / f"{sys.argv[2]}.conf")
    else:
        start(sys.argv[1], int(sys.argv[2]))
    print(resident_mib())

# SPDX-License-Identifier: Apache-2.0
"""Where the seconds of one request go: nova's scheduler in this process, without RPC, with a watch on its parts.

    profile_request.py COMPUTES AGGREGATES [HINT]        runs on the controller, as the user nova

Each part is timed three times: as a scheduler just started sees it; when all computes have reported their servers; and
so again, with all services read as nova does.
"""

import functools
import sys
import time

from arbaro_nova.scheduler import services
from ask import request, start
from crowd import Crowd
from nova import objects
from nova.conf import CONF
from nova.scheduler import host_manager, manager, utils
from nova.scheduler.client import report
from own_cost import own_microseconds

objects.register_all()
#: Parts of nova in the order in which they run, and what each does. What is in brackets is also in the part above it.
PARTS = (
    (report.SchedulerReportClient, "get_allocation_candidates", "placement: candidates"),
    (host_manager.HostManager, "_get_computes_for_cells", "database: services and compute nodes"),
    (objects.ServiceList, "get_by_binary", "(all services of the cell, where they are read)"),
    (objects.ComputeNodeList, "get_all_by_uuids", "(the candidates' compute nodes)"),
    (host_manager.HostManager, "_get_host_states", "host states"),
    (host_manager.HostManager, "_get_instances_by_host", "(database: servers, asked for each candidate)"),
    (host_manager.HostManager, "get_filtered_hosts", "filters"),
    (host_manager.HostManager, "get_weighed_hosts", "weighers"),
    (utils, "claim_resources", "placement: claim"),
    (manager.SchedulerManager, "select_destinations", "**all**"),
)
seconds = {}


def watch(owner, name, part):
    """Have a function note how long it takes."""
    function = getattr(owner, name)

    @functools.wraps(function)
    def timed(*args, **kwargs):
        began = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            seconds[part] = seconds.get(part, 0.0) + time.perf_counter() - began

    # What belongs to the class is bound to it already.
    setattr(owner, name, staticmethod(timed) if hasattr(function, "__self__") else timed)


def measure(scheduler, ctxt, hint):
    """Have one request scheduled; returns how long each part took."""
    spec = request(ctxt, hint)
    seconds.clear()
    scheduler.select_destinations(ctxt, spec_obj=spec, instance_uuids=[spec.instance_uuid], return_objects=True)
    return dict(seconds)


def settle(scheduler, ctxt, crowd):
    """Have all computes say twice that they have no servers, as nova-compute does every two minutes."""
    for compute in [*crowd, *crowd]:
        scheduler.sync_instance_info(ctxt, compute.name, [])


def main(crowd, hint):
    """Print a table: parts, and seconds of the second request before and after settling."""
    _, ctxt = start()
    # The computes have reported once, when they were made; that shall do.
    CONF.set_override("service_down_time", 86400)
    scheduler = manager.SchedulerManager()
    # After what our plug-in replaces is in its place.
    for owner, name, part in PARTS:
        watch(owner, name, part)
    measure(scheduler, ctxt, hint)
    fresh = measure(scheduler, ctxt, hint)
    settle(scheduler, ctxt, crowd)
    settled = measure(scheduler, ctxt, hint)
    CONF.set_override("few_candidates", 0, services.SECTION)
    columns = (fresh, settled, measure(scheduler, ctxt, hint))
    print("| part | just started | settled | settled, all services read |\n|---|---:|---:|---:|")
    for _, _, part in PARTS:
        print(f"| {part} | {' | '.join(f'{column.get(part, 0):.2f} s' for column in columns)} |")
    if not hint:
        print(f"\nOf that, ours: {own_microseconds(ctxt):.0f} microseconds.")


if __name__ == "__main__":
    main(Crowd(int(sys.argv[1]), int(sys.argv[2])), sys.argv[3] if len(sys.argv) > 3 else None)

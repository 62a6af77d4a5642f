# SPDX-License-Identifier: Apache-2.0
"""Where the seconds of one request go: nova's scheduler in this process, without RPC, under the profiler.

Runs on the controller, as the user nova: profile_request.py [HINT]
"""

import cProfile
import pstats
import sys

from ask import request, start

#: What is told of, in the order in which it happens: a part of nova, and the function in which its time is spent.
STAGES = {
    "placement: candidates": ("report.py", "get_allocation_candidates"),
    "database: all services of the cell": ("service.py", "get_by_binary"),
    "database: compute nodes of the candidates": ("compute_node.py", "get_all_by_uuids"),
    "database: servers of each candidate": ("host_manager.py", "_get_instances_by_host"),
    "host states, servers included": ("host_manager.py", "_get_host_states"),
    "filters": ("host_manager.py", "get_filtered_hosts"),
    "weighers": ("host_manager.py", "get_weighed_hosts"),
    "placement: claim": ("utils.py", "claim_resources"),
    "our request filter": ("request.py", "require_hinted_aggregates"),
    "all": ("manager.py", "select_destinations"),
}


def main(hint):
    """Ask twice, and profile the second time."""
    _, ctxt = start()
    from nova.scheduler import manager

    scheduler = manager.SchedulerManager()
    profile = cProfile.Profile()
    for turn in range(2):
        spec = request(ctxt, hint)
        if turn:
            profile.enable()
        scheduler.select_destinations(ctxt, spec_obj=spec, instance_uuids=[spec.instance_uuid], return_objects=True)
    profile.disable()
    seen = pstats.Stats(profile).stats
    for stage, (file, function) in STAGES.items():
        times = [times[3] for (path, _, name), times in seen.items() if path.endswith(f"/{file}") and name == function]
        print(f"{max(times, default=0.0):8.3f} s  {stage}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)

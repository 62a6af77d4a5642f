# SPDX-License-Identifier: Apache-2.0
"""Ask the real nova-scheduler over RPC for places, as nova-conductor does. Runs on the controller, as the user nova.

Reads lines of JSON, the variant of the scheduler and a hint (null for a request without one), and answers each with a
line: seconds, the host that was chosen, and the reason if there was none.
"""

import json
import sys
import time
import uuid

from crowd import scheduler_host
from fill import PROJECT
from nova import config, context, exception, objects
from nova.scheduler.client import query

FLAVOR = {"vcpus": 1, "memory_mb": 64, "root_gb": 1, "ephemeral_gb": 0, "swap": 0, "extra_specs": {}}


def request(ctxt, hint):
    """Make the request of one small server."""
    return objects.RequestSpec.from_components(
        ctxt,
        str(uuid.uuid4()),
        objects.ImageMeta(properties=objects.ImageMetaProps()),
        objects.Flavor(ctxt, id=1, name="bench", flavorid="bench", **FLAVOR),
        None,
        objects.InstancePCIRequests(requests=[]),
        {"scheduler_hints": {"aggregate_id": [str(hint)]} if hint else {}},
        None,
        None,
        project_id=PROJECT,
        user_id=PROJECT,
    )


def ask(client, ctxt, hint):
    """Ask once; returns what was answered and how long it took."""
    spec, host, reason = request(ctxt, hint), None, ""
    began = time.perf_counter()
    try:
        places = client.select_destinations(
            ctxt, spec, [spec.instance_uuid], return_objects=True, return_alternates=True
        )
        host = places[0][0].service_host
    except exception.NoValidHost as error:
        reason = error.format_message()
    return {"hint": hint, "seconds": round(time.perf_counter() - began, 4), "host": host, "reason": reason}


def start():
    """Read nova's configuration, and open what a client of the scheduler needs."""
    config.parse_args(["nova"], default_config_files=["/etc/nova/nova.conf"])
    objects.register_all()
    return query.SchedulerQueryClient(), context.RequestContext(PROJECT, PROJECT, is_admin=False)


def directed(variant):
    """A client whose requests reach this one of the schedulers that run side by side."""
    client = query.SchedulerQueryClient()
    rpc = client.scheduler_rpcapi.client
    rpc.target = rpc.target(server=scheduler_host(variant))
    return client


if __name__ == "__main__":
    _, ctxt = start()
    clients = {}
    for line in sys.stdin:
        variant, hint = json.loads(line)
        if variant not in clients:
            clients[variant] = directed(variant)
        print(json.dumps(ask(clients[variant], ctxt, hint)), flush=True)

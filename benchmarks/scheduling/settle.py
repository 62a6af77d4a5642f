# SPDX-License-Identifier: Apache-2.0
"""Say on behalf of each compute that it has no servers, as every nova-compute does every two minutes.

A scheduler that has heard so twice believes it. Until then it asks the database about each host, for each request.
"""

import sys

from ask import start
from crowd import Crowd
from nova.scheduler import rpcapi

if __name__ == "__main__":
    _, ctxt = start()
    api = rpcapi.SchedulerAPI()
    for compute in Crowd(int(sys.argv[1]), int(sys.argv[2])):
        api.sync_instance_info(ctxt, compute.name, [])

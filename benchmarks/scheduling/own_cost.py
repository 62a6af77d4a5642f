# SPDX-License-Identifier: Apache-2.0
"""What our plug-in takes of a request without a hint, measured by itself: prints microseconds. As the user nova.

It is so little that two runs of whole requests, with and without it, differ by anything else rather.
"""

import timeit

from arbaro_nova.scheduler import filters, services
from arbaro_nova.scheduler.request import require_hinted_aggregates
from ask import request, start

TURNS = 10_000


def own_microseconds(ctxt):
    """Call all that we put into a request's way: request filter, filter, and the way to nova's reading of services."""
    spec, ours = request(ctxt, None), filters.AggregateHintFilter()
    reading = services.reading_few(lambda *_: None, *services.cells_database())
    many = [""] * 1000

    def once():
        require_hinted_aggregates(ctxt, spec)
        ours.filter_all([], spec)
        reading(None, ctxt, [], many)

    return timeit.timeit(once, number=TURNS) / TURNS * 1e6


if __name__ == "__main__":
    print(round(own_microseconds(start()[1])))

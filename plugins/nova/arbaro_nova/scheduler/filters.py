# SPDX-License-Identifier: Apache-2.0
"""The filter that nova-scheduler loads by its own options, and by which all else that we do there comes along:

[filter_scheduler]
available_filters = nova.scheduler.filters.all_filters
available_filters = arbaro_nova.scheduler.filters.AggregateHintFilter
enabled_filters = …,AggregateHintFilter
"""

from nova.scheduler import filters, request_filter
from oslo_log import log

from arbaro_nova.scheduler.hint import HINT, hinted_aggregates, is_in
from arbaro_nova.scheduler.request import require_hinted_aggregates
from arbaro_nova.scheduler.services import read_few_services

LOG = log.getLogger(__name__)


class AggregateHintFilter(filters.BaseHostFilter):
    """Let only hosts pass that are in one of the aggregates that the request's hint names."""

    run_filter_once_per_request = True
    # A rebuild leaves the server where it is: a host that has left the aggregate keeps its servers until they move.
    RUN_ON_REBUILD = False

    def __init__(self):
        """Nova makes a filter only if it is enabled, so this one option switches all of it on, or nothing."""
        super().__init__()
        # Nova has no option for request filters. Its list of them is read anew for each request.
        if require_hinted_aggregates not in request_filter.ALL_REQUEST_FILTERS:
            request_filter.ALL_REQUEST_FILTERS.append(require_hinted_aggregates)
        read_few_services()

    def filter_all(self, filter_obj_list, spec_obj):
        """Filter hosts; a request without the hint pays for one look, not for one at each host."""
        if hinted_aggregates(spec_obj) is None:
            return filter_obj_list
        return super().filter_all(filter_obj_list, spec_obj)

    def host_passes(self, host_state, spec_obj):
        """Say whether a host is in a wanted aggregate, and log it if not.

        Placement has been asked for such hosts only, so what is refused here tells of one that nova and placement see
        differently, and is worth a line.
        """
        words = hinted_aggregates(spec_obj)
        if words is None or is_in(host_state.aggregates, words):
            return True
        LOG.info(
            "%(host)s is refused: hint %(hint)s asks for %(wanted)s, and the host's aggregates are %(found)s",
            {
                "host": host_state.host,
                "hint": HINT,
                "wanted": ", ".join(words),
                "found": ", ".join(f"{a.id} ({a.name})" for a in host_state.aggregates) or "none",
            },
        )
        return False

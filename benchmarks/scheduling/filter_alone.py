# SPDX-License-Identifier: Apache-2.0
"""The filter without the half that asks placement: what most clouds would have, and what this is compared with."""

from arbaro_nova.scheduler.filters import AggregateHintFilter
from nova.scheduler.filters import BaseHostFilter


class FilterAlone(AggregateHintFilter):
    """Filters the same way, but registers nothing."""

    def __init__(self):
        """Make it as if nova had made a filter of its own."""
        BaseHostFilter.__init__(self)

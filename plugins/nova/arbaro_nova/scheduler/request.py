# SPDX-License-Identifier: Apache-2.0
"""The request filter: what the hint names goes into the query to placement, or the request ends with the reason.

Placement hands out at most max_placement_results candidates, and to requests of one flavor always the same ones, until
it is restarted. A filter alone would refuse for ever when the aggregate's hosts are not among them.
"""

from nova import exception, objects
from nova.scheduler import request_filter
from oslo_log import log
from oslo_utils import uuidutils

from arbaro_nova.scheduler.hint import HINT, LIMIT, hinted_aggregates, why_not

LOG = log.getLogger(__name__)


@request_filter.trace_request_filter
def require_hinted_aggregates(context, request_spec):
    """Ask placement only for hosts in one of the aggregates that the hint names.

    Raises RequestFilterFailed, whose reason nova shows as the server's fault, if none of them can be used.
    """
    words = hinted_aggregates(request_spec)
    if words is None:
        return False
    if not words:
        refuse(f"hint {HINT} names no aggregate")
    if len(words) > LIMIT:
        refuse(f"hint {HINT} names {len(words)} aggregates, and {LIMIT} are possible")
    usable, reasons = [], []
    for word in words:
        aggregate = find_aggregate(context, word)
        reason = why_not(aggregate, request_spec.project_id, context.is_admin) if aggregate else "does not exist"
        if reason:
            # Longer than any id or uuid, it is not shown whole: a fault has room for 255 characters.
            reasons.append(f"aggregate {word[:36]} {reason}")
        else:
            usable.append(aggregate)
    if not usable:
        refuse(f"hint {HINT}: {'; '.join(reasons)}")
    destination = destination_of(request_spec)
    refuse_other_host(destination, request_spec, usable)
    destination.require_aggregates([aggregate.uuid for aggregate in usable])
    LOG.debug("Hint %s: placement is asked for hosts in %s", HINT, destination.aggregates)
    return True


def find_aggregate(context, word):
    """Look an aggregate up by its id or its uuid; None if there is none."""
    try:
        # An id has ten digits at most; what is longer overflows the column.
        if word.isascii() and word.isdigit() and len(word) <= 10:
            return objects.Aggregate.get_by_id(context, int(word))
        if uuidutils.is_uuid_like(word):
            return objects.Aggregate.get_by_uuid(context, word)
    except exception.AggregateNotFound:
        pass
    return None


def destination_of(request_spec):
    """Return the request's destination; a new one if it has none."""
    if "requested_destination" not in request_spec or request_spec.requested_destination is None:
        request_spec.requested_destination = objects.Destination()
    return request_spec.requested_destination


def refuse_other_host(destination, request_spec, aggregates):
    """Refuse a host that an operator asks for by name if it is in none of the aggregates.

    Placement would refuse it too, but without a word.
    """
    forced = request_spec.force_hosts if "force_hosts" in request_spec else None
    host = destination.host if "host" in destination else (forced or [None])[0]
    if host and not any(host in aggregate.hosts for aggregate in aggregates):
        names = ", ".join(str(aggregate.id) for aggregate in aggregates)
        refuse(f"host {host} is not in aggregate {names}, which hint {HINT} asks for")


def refuse(reason):
    """End the request; nova logs the reason and shows it as the server's fault."""
    LOG.info("Refused: %s", reason)
    raise exception.RequestFilterFailed(reason=f"{reason}.")

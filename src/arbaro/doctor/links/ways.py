# SPDX-License-Identifier: Apache-2.0
"""The way to servers from outside the fabric: from the controller, which answers them, and from this machine."""

from arbaro.checks import ERROR, Check, Finding, Spot
from arbaro.doctor import hostlooks
from arbaro.doctor.links.ground import needs_the_host
from arbaro.doctor.site import SITE, hosts_in, there
from arbaro.evidence import Evidence
from arbaro.hosts import CONTROLLER


def metadata_way_back(evidence: Evidence, spot: Spot) -> Finding | None:
    """The controller sends its answers to servers another way than through the fabric."""
    router = evidence.should(SITE, "router")
    way = evidence.value(spot.host, hostlooks.WAY_TO_GUESTS)
    if way.get("gateway") == router:
        return None
    said = f"by {way['gateway']}" if "gateway" in way else f"straight to {way.get('dev')}"
    return Finding(
        spot.host,
        f"the controller would answer servers {said}; the way is {router}",
        "servers get no metadata: no key, no script",
        there(evidence, spot.host, "systemctl restart guest-route"),
    )


def each_way_back(evidence: Evidence) -> list[Spot]:
    """The controllers of clouds whose servers are behind a fabric."""
    return [Spot(host) for host in hosts_in(evidence, CONTROLLER)] if evidence.should(SITE, "router") else []


def way_in_missing(evidence: Evidence, spot: Spot) -> Finding | None:
    """This machine does not send to servers through the fabric."""
    router, way = evidence.should(SITE, "router"), evidence.value(SITE, "the way in")
    if way.get("gateway") == router:
        return None
    said = f"goes by {way['gateway']}" if "gateway" in way else f"goes straight to {way.get('dev')}"
    return Finding(
        "this machine",
        f"what it sends to servers {said}; the way is {router}",
        "servers are silent from here; they reach one another",
        f"arbaro up {evidence.about}",
    )


def each_way_in(evidence: Evidence) -> list[Spot]:
    """This machine, where servers are behind a fabric."""
    return [Spot()] if evidence.should(SITE, "router") else []


METADATA_WAY_BACK = Check("metadata-way-back", ERROR, each_way_back, metadata_way_back, needs_the_host)
WAY_IN_MISSING = Check("way-in-missing", ERROR, each_way_in, way_in_missing)

# SPDX-License-Identifier: Apache-2.0
"""Who may connect: an address counts, and of the connection itself. No header says where a request comes from."""

import ipaddress
import logging
from collections.abc import Iterable

from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

log = logging.getLogger(__name__)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
#: Says nothing that a connection to the port would not say; the worker and monitoring ask it from anywhere.
OPEN_PATHS = frozenset({"/healthz"})
METRICS = "/metrics"


class OnlyFrom:
    """An ASGI application that is open to some networks only, and its metrics to some others."""

    def __init__(self, app: ASGIApp, ramdisks: Iterable[str], metrics: Iterable[str]) -> None:
        self._app = app
        self._ramdisks, self._metrics = read_networks(ramdisks), read_networks(metrics)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # there are no websockets here
        networks = self._metrics if scope["path"] == METRICS else self._ramdisks
        client = scope["client"]
        if scope["path"] in OPEN_PATHS or (client and is_in(client[0], networks)):
            await self._app(scope, receive, send)
            return
        address = client[0] if client else "unknown"
        log.warning("refused %s, which is in none of the settings' networks for it", address)
        body = {
            "code": "forbidden",
            "message": f"{address} may not ask this port.",
            "next_step": "Operators: agent_networks and metrics_networks in machines.toml say who may.",
        }
        await JSONResponse({"error": body}, 403)(scope, receive, send)


def read_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Read networks and single addresses. Raises ValueError with the one that is neither."""
    return tuple(ipaddress.ip_network(text) for text in texts)


def is_in(address: str, networks: Iterable[Network]) -> bool:
    """Say whether an address is in one of the networks; IPv4 that came in by an IPv6 socket is IPv4."""
    try:
        one = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    one = getattr(one, "ipv4_mapped", None) or one
    return any(one in network for network in networks)

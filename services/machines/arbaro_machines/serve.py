# SPDX-License-Identifier: Apache-2.0
"""Both ports in one process: each has an application of its own. Which one answers, the connection's port decides."""

import socket
from collections.abc import Mapping

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

Place = tuple[str, int]


class ByPort:
    """Hands each request to the application of the port that it came in by; no header has a say in that."""

    def __init__(self, applications: Mapping[int, ASGIApp]) -> None:
        self._applications = applications

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._applications[scope["server"][1]](scope, receive, send)


def serve(applications: Mapping[Place, ASGIApp]) -> None:
    """Serve until the process is told to end."""
    sockets = [_listen(address, port) for address, port in applications]
    config = uvicorn.Config(
        ByPort({port: application for (_, port), application in applications.items()}),
        lifespan="off",
        # The ramdisks' addresses have their tokens in them.
        access_log=False,
        log_config=None,
        # Whoever sends X-Forwarded-For would else choose the address that agent_networks are asked about.
        proxy_headers=False,
    )
    uvicorn.Server(config).run(sockets)


def _listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.create_server((address, port), family=family, backlog=2048)

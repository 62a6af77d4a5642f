# SPDX-License-Identifier: Apache-2.0
"""The applications, one for each port: routers, and how everything that goes wrong is answered."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from sqlalchemy import text
from sqlalchemy.exc import DataError, OperationalError
from sqlalchemy.orm.exc import StaleDataError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from arbaro_machines.api import agent, answers, machines, metrics, quotas, reports, reservations, verbs
from arbaro_machines.api.context import Parts, Service, request_id
from arbaro_machines.api.networks import OnlyFrom
from arbaro_machines.errors import Refusal

log = logging.getLogger(__name__)

ROUTERS = (quotas.router, reservations.router, reports.router, verbs.router, machines.router)
#: Every call may be refused in the same form.
REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": answers.ErrorOut} for status in (400, 401, 403, 404, 409, 412, 422, 428, 503)
}
#: Starlette's own refusals.
CODES = {400: "bad-request", 404: "not-found", 405: "no-such-method"}


def create_app(service: Service) -> FastAPI:
    """Make the API: for everybody who has a token of keystone."""
    app = FastAPI(title="Arbaro machines", version="1", openapi_url="/v1/openapi.json", docs_url=None, redoc_url=None)
    for router in ROUTERS:
        app.include_router(router, responses=REFUSALS)
    app.add_api_route("/", _versions, include_in_schema=False)
    app.add_api_route("/v1", _versions, include_in_schema=False)
    return _finish(app, service)


def create_agent_app(service: Service) -> ASGIApp:
    """Make the application for ramdisks, firmware and BMCs, which have no token of keystone, and for Prometheus."""
    app = FastAPI(title="Arbaro machines: ramdisks", openapi_url=None, docs_url=None, redoc_url=None)
    app.include_router(agent.router)
    app.include_router(metrics.router)
    settings = service.settings
    return OnlyFrom(_finish(app, service), settings.agent_networks, settings.metrics_networks)


def _finish(app: FastAPI, service: Service) -> FastAPI:
    """Add what both have: the service's parts, a sign of life, and the form of every error."""
    app.state.service = service
    app.add_api_route("/healthz", _health, include_in_schema=False)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _not_routed)
    app.add_exception_handler(OperationalError, _no_database)
    app.add_exception_handler(DataError, _unfit)
    app.add_exception_handler(StaleDataError, _busy)
    app.middleware("http")(_with_request_id)
    return app


async def _with_request_id(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await call_next(request)
    response.headers["X-Openstack-Request-Id"] = request_id(request)
    return response


def _versions(request: Request) -> dict[str, Any]:
    link = {"rel": "self", "href": f"{request.base_url}v1/"}
    return {"versions": [{"id": "v1.0", "status": "CURRENT", "links": [link]}]}


def _health(service: Parts) -> dict[str, str]:
    with service.store.reading() as session:
        session.execute(text("SELECT 1"))
    return {"status": "ok"}


def _error(request: Request, status: int, code: str, message: str, next_step: str = "") -> JSONResponse:
    body = {"code": code, "message": message, "next_step": next_step, "request_id": request_id(request)}
    headers = {"Retry-After": "5"} if status == 503 else {}
    return JSONResponse({"error": body}, status, headers=headers)


def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refusal)
    return _error(request, error.status, error.code, error.message, error.next_step)


def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    # Where and why, but not what was sent: it may be a password.
    found = [f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()]
    return _error(request, 422, "bad-request", "; ".join(found[:5]), "docs/reference/machines-api.md has the fields.")


def _not_routed(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    response = _error(request, error.status_code, CODES.get(error.status_code, "bad-request"), str(error.detail))
    if error.status_code == 405:
        response.headers["Allow"] = ", ".join(sorted(_methods_of(request.url.path)))
    return response


def _methods_of(path: str) -> set[str]:
    """The methods of a path: it has several routes here, and Starlette names those of the first only."""
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    pattern = next((route.path for route in routes if route.path_regex.match(path)), None)
    return {method for route in routes if route.path == pattern for method in route.methods}


def _no_database(request: Request, error: Exception) -> JSONResponse:
    log.error("%s: the database does not answer: %s", request_id(request), error)
    return _error(request, 503, "no-database", "The database does not answer.", "Try again soon.")


def _unfit(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DataError)
    # Not the whole error: the values that were sent are in it.
    log.error("%s: %s", request_id(request), error.orig)
    return _error(request, 422, "bad-request", "The database cannot hold one of these values.", "Write it otherwise.")


def _busy(request: Request, _error_: Exception) -> JSONResponse:
    return _error(request, 409, "busy", "Somebody else changed this machine in the same moment.", "Ask again.")

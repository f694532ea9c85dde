"""Builds the FastAPI app over an engine."""

import socket

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from inboxsync import __version__
from inboxsync.api import (
    compatible,
    compatible_stream,
    contacts,
    conversations,
    exports,
    health,
    keys,
    messages,
    openapi,
    pages,
    reports,
    runs,
    schedules,
)
from inboxsync.api.auth import KeyBeforeBody
from inboxsync.api.middleware import BodyLimit, HeadAsGet, HostCheck, RequestLog
from inboxsync.api.problems import add_problem_handlers
from inboxsync.api.service import Queue, Service
from inboxsync.engine import Engine

_ROUTERS = (
    compatible.router,
    compatible_stream.router,
    pages.router,
    runs.router,
    conversations.router,
    contacts.router,
    messages.router,
    exports.router,
    reports.router,
    schedules.router,
    keys.router,
    health.router,
    openapi.router,
)
_ABOUT = (
    "Every conversation of your Pages, in your own database. Errors are `application/problem+json` with a "
    "stable `code` and a `hint`. Lists continue with `nextCursor`. A route's `x-scope` is the scope that "
    "a key needs."
)


def create_app(engine: Engine, *, queue: Queue | None = None, names: frozenset[str] = frozenset()) -> FastAPI:
    """The HTTP service over this engine, whose database is opened here.

    Runs are enqueued in `queue`; without one no run can be started. `names` are hosts to answer to, beside
    the settings' and this machine's own. Raises what opening the database raises.
    """
    app = FastAPI(
        title="inboxsync",
        version=__version__,
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
    )
    service = Service(engine, queue)
    service.metrics.begin()
    app.state.service = service
    app.state.methods_at = lambda path: openapi.methods_at(app, path)
    add_problem_handlers(app)
    for router in _ROUTERS:
        app.include_router(router)
    _add_middleware(app, service, names)
    app.openapi = lambda: openapi.openapi_document(app)  # type: ignore[method-assign]
    return app


def _add_middleware(app: FastAPI, service: Service, names: frozenset[str]) -> None:
    """The last one added is the outermost."""
    settings, metrics = service.engine.settings, service.metrics
    app.add_middleware(KeyBeforeBody, auth=service.auth)
    app.add_middleware(HeadAsGet)
    app.add_middleware(BodyLimit, most=settings.max_body_bytes)
    if settings.cors_origin_list:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origin_list,
            allow_methods=["GET", "POST", "PATCH", "DELETE"],
            allow_headers=["Authorization", "X-API-Key", "Content-Type", "Last-Event-ID", "Prefer"],
            expose_headers=["X-Request-ID", "X-Inboxsync-Rows", "Location", "Retry-After"],
        )
    known = {*settings.allowed_host_names, *names, socket.gethostname().lower()}
    app.add_middleware(HostCheck, names=frozenset(known))
    app.add_middleware(RequestLog, requests=metrics.requests, seconds=metrics.request_seconds)

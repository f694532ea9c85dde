"""Builds the FastAPI app over an engine."""

import socket
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.openapi.utils import get_openapi

from inboxsync import __version__
from inboxsync.api import docs_page, health, pages
from inboxsync.api.envelope import BodyLimit, HostCheck, RequestLog
from inboxsync.api.problems import Problem, add_problem_handlers
from inboxsync.api.service import Service
from inboxsync.engine import Engine

_ABOUT = (
    "Every conversation of your Pages, in your own database. Errors are `application/problem+json` with a "
    "stable `code` and a `hint`. Lists go on behind `nextCursor`. A route's `x-scope` is the scope that "
    "a key needs."
)


def create_app(engine: Engine, *, names: frozenset[str] = frozenset()) -> FastAPI:
    """The HTTP service over this engine, whose database is opened here.

    `names` are hosts to answer to, beside the settings' and this machine's own. Raises what opening
    the database raises.
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
    service = Service(engine)
    app.state.service = service
    add_problem_handlers(app)
    for router in (health.router, docs_page.router, pages.router):
        app.include_router(router)
    _surround(app, service, names)
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]
    return app


def _surround(app: FastAPI, service: Service, names: frozenset[str]) -> None:
    """What is added last is met first."""
    settings = service.engine.settings
    app.add_middleware(BodyLimit, most=settings.max_body_bytes)
    if settings.cors_origin_list:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origin_list,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "X-API-Key", "Content-Type", "Last-Event-ID", "Prefer"],
            expose_headers=["X-Request-ID", "Location", "Retry-After"],
        )
    known = {*settings.allowed_host_names, *names, socket.gethostname().lower()}
    app.add_middleware(HostCheck, names=frozenset(known))
    app.add_middleware(RequestLog, on_answer=service.meters.note_answer)


def _document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with the shape of problems that every route refers to."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= problem.pop("$defs", {}) | {"Problem": problem}
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        app.openapi_schema = made
    return app.openapi_schema

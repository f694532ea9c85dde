"""`/healthz`, `/readyz` and `/metrics`."""

import asyncio
from datetime import timedelta
from typing import Any, Final, Literal

import structlog
from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy import text
from starlette.concurrency import run_in_threadpool

from inboxsync.api.auth import opens
from inboxsync.api.service import Service, ServiceDependency
from inboxsync.errors import InboxsyncError
from inboxsync.model import Scope
from inboxsync.store import schema
from inboxsync.store.state.run_health import was_source_reached

log = structlog.get_logger("inboxsync.api")
router = APIRouter(tags=["health"])

Check = Literal["ok", "failed", "unknown"]
# Where runs were made within this time and the source was not reached, it is not there.
_RECENT: Final = timedelta(minutes=15)
_READY_SECONDS = 5.0
_CHECKS: Final[dict[bool | None, Check]] = {True: "ok", False: "failed", None: "unknown"}


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """Whether requests can be served, and what says so."""

    status: Literal["ok", "unavailable"] = Field(examples=["ok"])
    database: Check = Field(description="It answers.", examples=["ok"])
    migrations: Check = Field(description="Its schema is this version's.", examples=["ok"])
    source: Check = Field(
        description="Meta answered in a run of the last quarter of an hour; unknown where there was none. "
        "A source that is away makes this service no less ready: what is stored can be read.",
        examples=["ok"],
    )


@router.get("/healthz", summary="Whether the process is alive")
async def is_alive() -> Alive:
    """Needs no key, and asks nothing of anybody."""
    return Alive()


@router.get(
    "/readyz",
    summary="Whether it can serve",
    responses={503: {"model": Ready, "description": "It cannot: the database is away or outdated."}},
    response_model=Ready,
)
async def is_ready(service: ServiceDependency) -> JSONResponse:
    """Needs no key. 503 where the database is away, its schema another's, or the process is ending."""
    try:
        async with asyncio.timeout(_READY_SECONDS):
            ready = await run_in_threadpool(_look, service)
    except (InboxsyncError, TimeoutError):
        ready = Ready(status="unavailable", database="failed", migrations="unknown", source="unknown")
    if service.draining.is_set():
        ready = ready.model_copy(update={"status": "unavailable"})
    return JSONResponse(ready.model_dump(), status_code=200 if ready.status == "ok" else 503)


def _look(service: Service) -> Ready:
    now = service.engine.clock.now()
    with service.engine.store.read() as connection:
        connection.execute(text("SELECT 1"))
        is_current = schema.current_version(connection) == schema.HEAD
        reached = was_source_reached(connection, since=now - _RECENT)
    return Ready(
        status="ok" if is_current else "unavailable",
        database="ok",
        migrations="ok" if is_current else "failed",
        source=_CHECKS[reached],
    )


_METRICS: dict[str, Any] = {
    "description": "Prometheus's text format.",
    "content": {"text/plain": {"schema": {"type": "string"}, "example": "inboxsync_runs_open 1.0\n"}},
}


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    response_class=Response,
    **(opens(Scope.READ) | {"responses": opens(Scope.READ)["responses"] | {200: _METRICS}}),
)
async def tell_metrics(service: ServiceDependency) -> Response:
    """Every figure is explained in docs/operations.md."""
    told = await run_in_threadpool(service.metrics.text)
    return Response(told, media_type="text/plain; version=0.0.4; charset=utf-8")

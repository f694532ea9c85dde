"""`/healthz`, `/readyz` and `/metrics`."""

import asyncio
from datetime import timedelta
from typing import Final, Literal

import structlog
from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy import text as sql
from starlette.concurrency import run_in_threadpool

from inboxsync.api.auth import requires
from inboxsync.api.service import Service, ServiceDependency
from inboxsync.errors import InboxsyncError
from inboxsync.model import Scope
from inboxsync.store import schema
from inboxsync.store.state.run_totals import was_source_reached

log = structlog.get_logger("inboxsync.api")
router = APIRouter(tags=["health"])

Check = Literal["ok", "failed", "unknown"]
# The source counts as failed if the runs of this time did not reach it.
_RECENT: Final = timedelta(minutes=15)
_READY_SECONDS = 5.0
_CHECKS: Final[dict[bool | None, Check]] = {True: "ok", False: "failed", None: "unknown"}


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """Whether requests can be served, and why."""

    status: Literal["ok", "unavailable"] = Field(examples=["ok"])
    database: Check = Field(description="It answers.", examples=["ok"])
    migrations: Check = Field(description="Its schema is this version's.", examples=["ok"])
    source: Check = Field(
        description="Whether Meta answered a run of the last 15 minutes; unknown: there was no run. This "
        "service is also ready when Meta cannot be reached: what is stored can be read.",
        examples=["ok"],
    )


@router.get("/healthz", summary="Whether the process is alive")
async def is_alive() -> Alive:
    """Needs no key and reads nothing."""
    return Alive()


@router.get(
    "/readyz",
    summary="Whether it can serve",
    responses={503: {"model": Ready, "description": "The database does not answer or is outdated."}},
    response_model=Ready,
)
async def is_ready(service: ServiceDependency) -> JSONResponse:
    """Needs no key. 503: no database, a schema of another version, or the process is ending."""
    try:
        async with asyncio.timeout(_READY_SECONDS):
            ready = await run_in_threadpool(_check, service)
    except (InboxsyncError, TimeoutError):
        ready = Ready(status="unavailable", database="failed", migrations="unknown", source="unknown")
    if service.draining.is_set():
        ready = ready.model_copy(update={"status": "unavailable"})
    return JSONResponse(ready.model_dump(), status_code=200 if ready.status == "ok" else 503)


def _check(service: Service) -> Ready:
    now = service.engine.clock.now()
    with service.engine.store.read() as connection:
        connection.execute(sql("SELECT 1"))
        is_current = schema.current_version(connection) == schema.HEAD
        reached = was_source_reached(connection, since=now - _RECENT)
    return Ready(
        status="ok" if is_current else "unavailable",
        database="ok",
        migrations="ok" if is_current else "failed",
        source=_CHECKS[reached],
    )


_METRICS = requires(Scope.READ)
_METRICS["responses"][200] = {
    "description": "Prometheus's text format.",
    "content": {"text/plain": {"schema": {"type": "string"}, "example": "inboxsync_runs_open 1.0\n"}},
}


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    response_class=Response,
    **_METRICS,
)
async def show_metrics(service: ServiceDependency) -> Response:
    """docs/operations.md explains every figure."""
    text = await run_in_threadpool(service.metrics.text)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

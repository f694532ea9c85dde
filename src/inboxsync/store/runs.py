"""Rows of `sync_runs`."""

from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, insert, select, update

from inboxsync.model import Counts, Mode, Problem, Run, RunStatus
from inboxsync.store.tables import facebook_pages
from inboxsync.store.tables import sync_runs as table

_decode_problems = msgspec.json.Decoder(tuple[Problem, ...]).decode


def start_run(connection: Connection, run: Run) -> None:
    """Note that a run has begun."""
    connection.execute(
        insert(table),
        {"id": run.id, "page_id": run.page_id, "mode": run.mode.value, "started_at": run.started_at}
        | _changing(run),
    )


def close_unended_runs(connection: Connection, page_id: str) -> None:
    """Note that runs of this Page without an end were killed. One that lives says so at its next batch."""
    connection.execute(
        update(table)
        .where(table.c.page_id == page_id, table.c.status == RunStatus.RUNNING.value)
        .values(status=RunStatus.INTERRUPTED.value)
    )


def update_run(connection: Connection, run: Run) -> None:
    """Note how far a run has come, or how it ended."""
    connection.execute(update(table).where(table.c.id == run.id).values(**_changing(run)))


def list_runs(connection: Connection, *, limit: int) -> list[Run]:
    """The newest runs, newest first."""
    rows = connection.execute(_runs().order_by(table.c.id.desc()).limit(limit))
    return [_run(row) for row in rows]


def get_run(connection: Connection, run_id: str) -> Run | None:
    """A run as it is noted; None where it is not."""
    rows = connection.execute(_runs().where(table.c.id == run_id))
    return next((_run(row) for row in rows), None)


def _runs() -> Select[Any]:
    return select(table, facebook_pages.c.facebook_page_id, facebook_pages.c.platform).join(facebook_pages)


def _changing(run: Run) -> dict[str, Any]:
    return {
        "status": run.status.value,
        "finished_at": run.finished_at,
        "fetched": run.counts.fetched,
        "inserted": run.counts.inserted,
        "updated": run.counts.updated,
        "unchanged": run.counts.unchanged,
        "events": run.counts.events,
        "batches": run.batches,
        "calls": run.calls,
        "refused_calls": run.refused_calls,
        "problems": msgspec.json.encode(run.problems).decode() if run.problems else None,
        "next": run.next,
    }


def _run(row: Row[Any]) -> Run:
    ended = row.finished_at
    return Run(
        id=row.id,
        page_id=row.page_id,
        facebook_page_id=row.facebook_page_id,
        platform=row.platform,
        mode=Mode(row.mode),
        status=RunStatus(row.status),
        started_at=row.started_at,
        finished_at=ended,
        duration_seconds=(ended - row.started_at).total_seconds() if ended else 0.0,
        counts=Counts(
            fetched=row.fetched,
            inserted=row.inserted,
            updated=row.updated,
            unchanged=row.unchanged,
            events=row.events,
        ),
        batches=row.batches,
        calls=row.calls,
        refused_calls=row.refused_calls,
        problems=_decode_problems(row.problems) if row.problems else (),
        next=row.next,
    )

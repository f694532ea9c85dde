"""Rows of `sync_runs` and `sync_run_events`: runs, and the events of each."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, Select, Update, bindparam, delete, func, insert, select, update

from inboxsync.model import Counts, Mode, Problem, Run, RunEvent, RunKind, RunRequest, RunStatus
from inboxsync.store.tables import facebook_pages, sync_run_events
from inboxsync.store.tables import sync_runs as table

# So many runs of a Page are looked through for one that is open: none begins long after it.
_LAST: Final = 10
_decode_problems = msgspec.json.Decoder(tuple[Problem, ...]).decode
_decode_request = msgspec.json.Decoder(RunRequest).decode


def start_run(connection: Connection, run: Run) -> None:
    """Note that a run has begun, or that it waits for a worker."""
    row = {
        "id": run.id,
        "page_id": run.page_id,
        "mode": run.mode.value,
        "kind": run.kind.value,
        "started_at": run.started_at,
        "queued_at": run.queued_at,
        "request": msgspec.json.encode(run.request).decode() if run.request else None,
    }
    connection.execute(insert(table), row | _changing(run))


def resume_run(connection: Connection, run_id: str, *, mode: Mode, now: datetime) -> Run | None:
    """Go on with a run that the workers have; None where it has ended or is not there.

    It begins now if it has not yet.
    """
    if not lock_open_run(connection, run_id):
        return None  # also where it is ended this very moment: nobody would end it a second time
    run = get_run(connection, run_id)
    if run is None:
        return None
    values: dict[str, Any] = {"status": RunStatus.RUNNING.value, "updated_at": now}
    if run.status is RunStatus.QUEUED:
        run = replace(run, mode=mode, started_at=now)
        values |= {"mode": mode.value, "started_at": now}
    connection.execute(update(table).where(table.c.id == run_id).values(**values))
    return replace(run, status=RunStatus.RUNNING, updated_at=now)


def close_unended_runs(connection: Connection, page_id: str) -> None:
    """Note that runs of this Page without an end were killed. One that lives says so at its next batch.

    Those that the workers have are not: they go on.
    """
    connection.execute(
        update(table)
        .where(
            table.c.page_id == page_id,
            table.c.status == RunStatus.RUNNING.value,
            table.c.queued_at.is_(None),
        )
        .values(status=RunStatus.INTERRUPTED.value)
    )


def update_run(connection: Connection, run: Run) -> None:
    """Note how far a run has come, or how it ended."""
    connection.execute(_update(), _changing(run) | {"run_id": run.id})


def ask_to_cancel(connection: Connection, run_id: str, *, now: datetime) -> None:
    """Note that somebody wants this run to end; the first who asks is who asked."""
    connection.execute(
        update(table)
        .where(table.c.id == run_id, table.c.cancel_asked_at.is_(None))
        .values(cancel_asked_at=now, updated_at=now)
    )


def is_cancel_asked(connection: Connection, run_id: str) -> bool:
    """Whether somebody wants this run to end."""
    asked = select(table.c.cancel_asked_at).where(table.c.id == run_id)
    return connection.execute(asked).scalar_one_or_none() is not None


def list_runs(
    connection: Connection, *, limit: int, page_id: str | None = None, before: str | None = None
) -> list[Run]:
    """The newest runs, newest first; of one Page (our id), and older than the run `before`, where given."""
    query = _runs().order_by(table.c.id.desc()).limit(limit)
    if page_id is not None:
        query = query.where(table.c.page_id == page_id)
    if before is not None:
        query = query.where(table.c.id < before)
    return [_run(row) for row in connection.execute(query)]


def list_open_runs(connection: Connection, page_ids: Collection[str]) -> dict[str, Run]:
    """The newest run of each of these Pages (our ids) that has not ended, among its last few."""
    last = (
        select(table.c.id, table.c.status)
        .where(table.c.page_id == facebook_pages.c.id)
        .order_by(table.c.started_at.desc())
        .limit(_LAST)
        .correlate(facebook_pages)
        .subquery()
    )
    is_open = last.c.status.in_([status.value for status in RunStatus if status.is_open])
    newest = select(func.max(last.c.id)).where(is_open).correlate(facebook_pages).scalar_subquery()
    # The ids first, by the Page's own index: a Page has thousands of runs, and few are open.
    ids = connection.execute(select(newest).where(facebook_pages.c.id.in_(page_ids))).scalars().all()
    rows = connection.execute(_runs().where(table.c.id.in_([each for each in ids if each is not None])))
    return {row.page_id: _run(row) for row in rows}


def list_last_statuses(connection: Connection, page_ids: Collection[str]) -> dict[str, RunStatus]:
    """How the newest run that has ended ended, by Page (our ids); nothing of Pages without one."""
    is_open = [status.value for status in RunStatus if status.is_open]
    last = (
        select(table.c.status)
        .where(table.c.page_id == facebook_pages.c.id, table.c.status.not_in(is_open))
        .order_by(table.c.started_at.desc())
        .limit(1)
        .correlate(facebook_pages)
        .scalar_subquery()
    )
    rows = connection.execute(select(facebook_pages.c.id, last).where(facebook_pages.c.id.in_(page_ids)))
    return {page_id: RunStatus(status) for page_id, status in rows if status is not None}


def get_run(connection: Connection, run_id: str) -> Run | None:
    """A run as it is noted; None where it is not."""
    rows = connection.execute(_runs().where(table.c.id == run_id))
    return next((_run(row) for row in rows), None)


def find_running(connection: Connection, page_id: str) -> Run | None:
    """The newest run of this Page that has begun and not ended, as far as is noted; else None."""
    of_page = _runs().where(table.c.page_id == page_id, table.c.status == RunStatus.RUNNING.value)
    row = connection.execute(of_page.order_by(table.c.id.desc()).limit(1)).one_or_none()
    return _run(row) if row is not None else None


def delete_runs(connection: Connection, *, before: datetime, keep: Collection[RunStatus] = ()) -> int:
    """Forget runs that ended before then, with their events; returns how many."""
    old = delete(table).where(table.c.finished_at < before)
    if keep:
        old = old.where(table.c.status.not_in([status.value for status in keep]))
    return connection.execute(old).rowcount


def append_run_events(
    connection: Connection, run_id: str, events: Sequence[tuple[datetime, str, dict[str, object]]]
) -> None:
    """Add (when, status, data) after the events that the run has."""
    if not events:
        return
    newest = newest_event_seq(connection, run_id)
    rows = [
        {
            "run_id": run_id,
            "seq": seq,
            "at": at,
            "status": status,
            "data": msgspec.json.encode(data).decode(),
        }
        for seq, (at, status, data) in enumerate(events, newest + 1)
    ]
    connection.execute(insert(sync_run_events), rows)


def list_run_events(
    connection: Connection, run_id: str, *, after: int = 0, limit: int = 200
) -> list[RunEvent]:
    """The events of a run, in their order, after the event with that number."""
    events = sync_run_events.c
    query = select(sync_run_events).where(events.run_id == run_id, events.seq > after)
    return [
        RunEvent(
            run_id=row.run_id,
            seq=row.seq,
            at=row.at,
            status=row.status,
            data=msgspec.json.decode(row.data),
        )
        for row in connection.execute(query.order_by(events.seq).limit(limit))
    ]


def newest_event_seq(connection: Connection, run_id: str) -> int:
    """The number of the last event of this run; 0 if it has none."""
    newest = select(func.max(sync_run_events.c.seq)).where(sync_run_events.c.run_id == run_id)
    return int(connection.execute(newest).scalar() or 0)


@cache
def _update() -> Update:
    """Built once: every batch notes how far its run has come."""
    return update(table).where(table.c.id == bindparam("run_id"))


def lock_open_run(connection: Connection, run_id: str) -> bool:
    """Whether a run has not ended; if so, nobody ends it before this transaction does."""
    status = select(table.c.status).where(table.c.id == run_id).with_for_update()
    stored = connection.execute(status).scalar_one_or_none()
    return stored is not None and RunStatus(stored).is_open


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
        "updated_at": run.updated_at,
        "active_seconds": run.duration_seconds,
    }


def _run(row: Row[Any]) -> Run:
    return Run(
        id=row.id,
        page_id=row.page_id,
        facebook_page_id=row.facebook_page_id,
        platform=row.platform,
        mode=Mode(row.mode),
        status=RunStatus(row.status),
        started_at=row.started_at,
        finished_at=row.finished_at,
        duration_seconds=_duration(row),
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
        kind=RunKind(row.kind),
        request=_decode_request(row.request) if row.request else None,
        queued_at=row.queued_at,
        cancel_asked_at=row.cancel_asked_at,
        updated_at=row.updated_at,
    )


def _duration(row: Row[Any]) -> float:
    """The time at work; runs of earlier versions were at work from their beginning to their end."""
    if row.active_seconds is not None:
        return float(row.active_seconds)
    return (row.finished_at - row.started_at).total_seconds() if row.finished_at else 0.0

"""Rows of `sync_run_events`: the events of runs."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, func, insert, select

from inboxsync.model import RunEvent
from inboxsync.store.tables import sync_run_events as table


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
    connection.execute(insert(table), rows)


def list_run_events(
    connection: Connection, run_id: str, *, after: int = 0, limit: int = 200
) -> list[RunEvent]:
    """The events of a run, in their order, after the event with that number."""
    query = (
        select(table).where(table.c.run_id == run_id, table.c.seq > after).order_by(table.c.seq).limit(limit)
    )
    return [
        RunEvent(
            run_id=row.run_id,
            seq=row.seq,
            at=row.at,
            status=row.status,
            data=msgspec.json.decode(row.data),
        )
        for row in connection.execute(query)
    ]


def newest_event_seq(connection: Connection, run_id: str) -> int:
    """The number of the last event of this run; 0 if it has none."""
    newest = select(func.max(table.c.seq)).where(table.c.run_id == run_id)
    return int(connection.execute(newest).scalar() or 0)

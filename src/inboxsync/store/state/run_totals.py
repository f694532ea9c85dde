"""What runs have counted, for whoever adds it up while they go."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, func, or_, select

from inboxsync.store.tables import backlog, sync_run_events
from inboxsync.store.tables import sync_runs as table


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTotals:
    """The counters of one run as they stand."""

    id: str
    page_id: str
    status: str
    inserted: int
    updated: int
    events: int
    batches: int
    calls: int
    refused_calls: int
    active_seconds: float | None


def list_run_totals(connection: Connection, *, after: str, also: Collection[str]) -> list[RunTotals]:
    """The runs that began after the run `after`, and those of `also`, in that order."""
    wanted = or_(table.c.id > after, table.c.id.in_(also))
    return [RunTotals(**row._asdict()) for row in connection.execute(_totals().where(wanted))]


def newest_run_id(connection: Connection) -> str:
    """The run that began last; an empty text where there was none."""
    return connection.execute(select(func.max(table.c.id))).scalar_one() or ""


def list_open_run_totals(connection: Connection, *, ended: Collection[str]) -> list[RunTotals]:
    """The runs whose status is none of `ended`."""
    rows = connection.execute(_totals().where(table.c.status.not_in(ended)))
    return [RunTotals(**row._asdict()) for row in rows]


def newest_event_seq(connection: Connection, run_id: str) -> int:
    """The number of the last event that this run told; 0 where it has told none."""
    newest = select(func.max(sync_run_events.c.seq)).where(sync_run_events.c.run_id == run_id)
    return int(connection.execute(newest).scalar() or 0)


def count_backlog_by_kind(connection: Connection) -> dict[str, int]:
    """How many things are owed of all Pages, by what they are."""
    phases = select(backlog.c.kind, func.count().label("items")).group_by(backlog.c.kind)
    return {str(row.kind): int(row.items) for row in connection.execute(phases)}


def _totals() -> Select[Any]:
    return select(*(table.c[name] for name in RunTotals.__dataclass_fields__)).order_by(table.c.id)

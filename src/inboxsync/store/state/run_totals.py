"""What `/metrics` and `/readyz` read from the runs: their counters, and whether the source answers."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, case, func, literal_column, or_, select

from inboxsync.errors import SourceUnreachable
from inboxsync.store.state.backlog import MEANING
from inboxsync.store.tables import backlog
from inboxsync.store.tables import sync_runs as table


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTotals:
    """The counters of one run, as they are now."""

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
    """The run that began last; an empty text if there was none."""
    return connection.execute(select(func.max(table.c.id))).scalar_one() or ""


def list_open_run_totals(connection: Connection, *, ended: Collection[str]) -> list[RunTotals]:
    """The runs whose status is none of `ended`."""
    rows = connection.execute(_totals().where(table.c.status.not_in(ended)))
    return [RunTotals(**row._asdict()) for row in rows]


def count_backlog_by_kind(connection: Connection) -> dict[str, int]:
    """How many items the backlog of all Pages has, of each kind; `new`: come since the last sync."""
    kind = case((literal_column("'new'") == MEANING, literal_column("'new'")), else_=backlog.c.kind)
    kinds = select(kind.label("kind"), func.count().label("items")).group_by(kind)
    return {str(row.kind): int(row.items) for row in connection.execute(kinds)}


def was_source_reached(connection: Connection, *, since: datetime) -> bool | None:
    """Whether the source answered the newest run that has ended since then, or that is running.

    None if there was no such run, or if it does not show that.
    """
    row = connection.execute(
        select(table.c.batches, table.c.status, table.c.problems)
        .where(or_(table.c.finished_at >= since, table.c.finished_at.is_(None)), table.c.calls > 0)
        .order_by(table.c.id.desc())
        .limit(1)
    ).one_or_none()
    if row is None:
        return None
    if f'"{SourceUnreachable.code}"' in (row.problems or ""):
        return False
    return True if row.batches or row.status == "complete" else None


def _totals() -> Select[Any]:
    return select(*(table.c[name] for name in RunTotals.__dataclass_fields__)).order_by(table.c.id)

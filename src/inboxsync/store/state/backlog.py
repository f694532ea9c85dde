"""Rows of `backlog`, and conversations whose older messages are not stored.

A conversation that is gone has none to fetch: the source no longer has it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    case,
    delete,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
)

from inboxsync.model import NOT_STORED, BacklogCounts, BacklogItem, BacklogKind, Page, Problem
from inboxsync.store.connection.statements import put_row
from inboxsync.store.tables import HAS_OLDER, messenger_conversations
from inboxsync.store.tables import backlog as table

_encode = msgspec.json.Encoder().encode
_decode_anchors = msgspec.json.Decoder(tuple[str, ...]).decode


# What an item means: a field of `BacklogCounts`. Written out, because it is grouped by.
MEANING: Final[ColumnElement[str]] = case(
    (table.c.kind == literal_column(f"'{BacklogKind.GAP.value}'"), literal_column("'gaps'")),
    (table.c.kind == literal_column(f"'{BacklogKind.HISTORY.value}'"), literal_column("'history'")),
    (table.c.error_code.is_(None), literal_column("'new'")),
    (table.c.error_code == literal_column(f"'{NOT_STORED}'"), literal_column("'missing'")),
    else_=literal_column("'refused'"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Older:
    """How much of a Page is older than what is stored; the messages by Meta's estimate."""

    conversations: int
    messages: int


def put_backlog_item(connection: Connection, page: Page, item: BacklogItem, *, now: datetime) -> None:
    """Add an item, or replace it. Its `created_at` stays."""
    problem = item.problem
    row = {
        "page_id": page.id,
        "kind": item.kind.value,
        "conversation_id": item.conversation_id,
        "folder": item.folder,
        "cursor": item.cursor,
        "anchors": _encode(item.anchors).decode() if item.anchors else None,
        "until_at": item.until_at,
        "error_code": problem.code if problem else None,
        "error_message": problem.message if problem else None,
        "error_hint": problem.hint if problem else None,
        "attempts": item.attempts,
        "next_attempt_at": item.next_attempt_at,
        "created_at": now,
        "updated_at": now,
    }
    put_row(connection, table, row, keep={"created_at"})


def get_backlog_item(
    connection: Connection, page: Page, kind: BacklogKind, conversation_id: str
) -> BacklogItem | None:
    """The item of this kind and conversation, gone or not."""
    row = connection.execute(select(table).where(_key(page, kind, conversation_id))).one_or_none()
    return _item(row) if row else None


def delete_backlog_item(connection: Connection, page: Page, kind: BacklogKind, conversation_id: str) -> None:
    """Nothing of this kind is missing any longer."""
    connection.execute(delete(table).where(_key(page, kind, conversation_id)))


def list_backlog(
    connection: Connection,
    page: Page,
    kind: BacklogKind,
    *,
    now: datetime,
    limit: int,
    due_only: bool = True,
    excluding: Collection[str] = (),
) -> list[BacklogItem]:
    """Items of this kind: fewest failed attempts first, then the oldest."""
    query = (
        select(table)
        .where(table.c.page_id == page.id, table.c.kind == kind.value, ~_is_gone())
        .order_by(table.c.attempts, table.c.created_at, table.c.conversation_id)
    )
    if due_only:
        query = query.where(_is_due(now))
    return _items(connection, query, limit=limit, excluding=excluding)


def list_failed_backlog(connection: Connection, page: Page, *, limit: int) -> list[BacklogItem]:
    """A few items that were tried and failed, the most attempts first."""
    query = (
        select(table)
        .where(table.c.page_id == page.id, table.c.error_code != NOT_STORED, ~_is_gone())
        .order_by(table.c.attempts.desc(), table.c.created_at)
    )
    return _items(connection, query, limit=limit, excluding=())


def count_backlog(connection: Connection, page: Page) -> dict[BacklogKind, int]:
    """How many items there are of each kind, due or not."""
    rows = connection.execute(
        select(table.c.kind, func.count())
        .where(table.c.page_id == page.id, ~_is_gone())
        .group_by(table.c.kind)
    )
    return dict.fromkeys(BacklogKind, 0) | {BacklogKind(kind): count for kind, count in rows}


def count_backlogs(
    connection: Connection, page_ids: Collection[str] | None = None
) -> dict[str, BacklogCounts]:
    """What the backlog of each of these Pages (our ids) means; None: of all. Only of those that have one."""
    query = select(table.c.page_id, MEANING, func.count()).where(~_is_gone())
    if page_ids is not None:
        query = query.where(table.c.page_id.in_(page_ids))
    found: dict[str, dict[str, int]] = {}
    for page_id, meaning, count in connection.execute(query.group_by(table.c.page_id, MEANING)):
        found.setdefault(page_id, {})[meaning] = count
    return {page_id: BacklogCounts(**counts) for page_id, counts in found.items()}


def list_history(
    connection: Connection, page: Page, *, now: datetime, limit: int, excluding: Collection[str] = ()
) -> list[BacklogItem]:
    """Conversations with older messages than are stored, the newest first.

    Each has its cursor if the backlog has one. Those whose next attempt is not due are left out.
    """
    conversations = messenger_conversations
    noted = and_(
        table.c.page_id == conversations.c.page_id,
        table.c.kind == BacklogKind.HISTORY.value,
        table.c.conversation_id == conversations.c.conversation_id,
    )
    columns = {column.name: column for column in table.c} | {
        "kind": literal(BacklogKind.HISTORY.value).label("kind"),
        "conversation_id": conversations.c.conversation_id,
        "folder": conversations.c.folder,
        "attempts": func.coalesce(table.c.attempts, 0).label("attempts"),
    }
    query = (
        select(*columns.values())
        .select_from(conversations.outerjoin(table, noted))
        .where(conversations.c.page_id == page.id, HAS_OLDER, _is_due(now))
        .order_by(conversations.c.last_message_time.desc())
    )
    return _items(connection, query, limit=limit, excluding=excluding)


def count_older(connection: Connection, page: Page, *, messages: int) -> Older:
    """How many conversations have older messages that are not stored, and about how many messages.

    `messages` is how many of each are taken to be stored: a sync stores that many of the newest.
    """
    conversations = messenger_conversations
    count, listed = connection.execute(
        select(func.count(), func.coalesce(func.sum(conversations.c.message_count), 0)).where(
            conversations.c.page_id == page.id, HAS_OLDER
        )
    ).one()
    return Older(conversations=count, messages=max(0, listed - messages * count))


def _items(
    connection: Connection, query: Select[Any], *, limit: int, excluding: Collection[str]
) -> list[BacklogItem]:
    # Left out here, not in the query: there may be more of them than a statement takes parameters.
    found = (_item(row) for row in connection.execute(query.limit(limit + len(excluding))))
    return [item for item in found if item.conversation_id not in excluding][:limit]


def _key(page: Page, kind: BacklogKind, conversation_id: str) -> ColumnElement[bool]:
    return and_(
        table.c.page_id == page.id,
        table.c.kind == kind.value,
        table.c.conversation_id == conversation_id,
    )


def _is_due(now: datetime) -> ColumnElement[bool]:
    return or_(table.c.next_attempt_at.is_(None), table.c.next_attempt_at <= now)


def _is_gone() -> ColumnElement[bool]:
    conversations = messenger_conversations
    return exists().where(
        conversations.c.page_id == table.c.page_id,
        conversations.c.conversation_id == table.c.conversation_id,
        conversations.c.conversation_status == "gone",
    )


def _item(row: Row[Any]) -> BacklogItem:
    problem = Problem(code=row.error_code, message=row.error_message, hint=row.error_hint)
    return BacklogItem(
        conversation_id=row.conversation_id,
        kind=BacklogKind(row.kind),
        folder=row.folder,
        cursor=row.cursor,
        anchors=_decode_anchors(row.anchors) if row.anchors else (),
        until_at=row.until_at,
        problem=problem if row.error_code is not None else None,
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
    )

"""Rows of `facebook_pages`, `quotas` and `verifications`: Pages, what Meta allows, and what was verified."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Final

from sqlalchemy import Column, Connection, Row, delete, func, insert, or_, select, update

from inboxsync.errors import PageAmbiguous, PageUnknown
from inboxsync.model import History, Page, Platform, Quota, TokenReason, TokenState, Verification
from inboxsync.store.connection.statements import put_row
from inboxsync.store.connection.types import new_id
from inboxsync.store.search import folded_words
from inboxsync.store.tables import facebook_pages as table
from inboxsync.store.tables import messages, messenger_conversations, quotas, verifications

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_LONGEST_SHOWN: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class PageCounts:
    """How much of a Page is stored."""

    conversations: int
    contacts: int
    messages: int


def list_pages(connection: Connection) -> list[Page]:
    """Every Page that was added, in that order."""
    return [_page(row) for row in connection.execute(select(table).order_by(table.c.id))]


def list_pages_after(connection: Connection, page_id: str, *, limit: int) -> list[Page]:
    """So many Pages behind this one, by our ids, in the order in which they were added."""
    query = select(table).where(table.c.id > page_id).order_by(table.c.id).limit(limit)
    return [_page(row) for row in connection.execute(query)]


def list_pages_of(connection: Connection, page_ids: Collection[str]) -> list[Page]:
    """The Pages with these ids, ours, that are there, in the order in which they were added."""
    query = select(table).where(table.c.id.in_(page_ids)).order_by(table.c.id)
    return [_page(row) for row in connection.execute(query)]


def list_pages_named(connection: Connection, named: str, *, after: str, limit: int) -> list[Page]:
    """As `list_pages_after`, those with this in their name, folded as for the search, or in Meta's id."""
    wanted = _folded(named)
    query = select(table.c.id, table.c.name, table.c.facebook_page_id)
    rows = connection.execute(query.where(table.c.id > after).order_by(table.c.id))
    # Folded here: the databases fold differently, and even ten thousand names are soon read through.
    found = (
        row.id
        for row in rows
        # What folds to nothing, such as a sign, is looked for as it is.
        if (wanted in _folded(row.name or "") if wanted else named in (row.name or ""))
        or named in row.facebook_page_id
    )
    return list_pages_of(connection, list(islice(found, limit)))


def _folded(name: str) -> str:
    return " ".join(folded_words(name))


def count_pages(connection: Connection) -> int:
    """How many Pages were added."""
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def find_pages(connection: Connection, names: Iterable[str]) -> list[Page]:
    """The Pages that these texts name: our id in upper or lower case, Meta's id, or the Page's name.

    One of Meta's may stand for two platforms, and so may a name. Raises PageUnknown for the first that is not
    there, PageAmbiguous for a name that different Pages have.
    """
    found: dict[str, Page] = {}
    for name in names:
        wanted = or_(table.c.id == stored_id(name), table.c.facebook_page_id == name)
        rows = connection.execute(select(table).where(wanted).order_by(table.c.id)).all()
        rows = rows or _rows_named(connection, name)
        if not rows:
            # A longer text may be a token that was put in the wrong place.
            shown = f"Page {name}" if len(name) <= _LONGEST_SHOWN else "such Page"
            raise PageUnknown(f"There is no {shown} in the database.")
        found |= {row.id: _page(row) for row in rows}
    return list(found.values())


def find_page(connection: Connection, name: str) -> Page:
    """The one Page that this text names, as `find_pages` reads it. Raises PageUnknown, PageAmbiguous."""
    found = find_pages(connection, [name])
    if len(found) > 1:
        platforms = " and ".join(page.platform.value for page in found)
        raise PageAmbiguous(f"{name} was added for {platforms}.")
    return found[0]


def stored_id(text: str) -> str:
    """An id as it is stored: ours are UUIDs, which others may write in upper case."""
    return text.lower() if _UUID.fullmatch(text) else text


def _rows_named(connection: Connection, name: str) -> Sequence[Row[Any]]:
    """The Pages of this name: as it is written, or else folded as for the search."""
    query = select(table.c.id, table.c.name).where(table.c.name.is_not(None)).order_by(table.c.id)
    names = [(row.id, row.name) for row in connection.execute(query)]
    folded = _folded(name)
    ids = [page_id for page_id, each in names if each == name] or [
        page_id for page_id, each in names if folded and _folded(each) == folded
    ]
    rows = connection.execute(select(table).where(table.c.id.in_(ids)).order_by(table.c.id)).all()
    if len({row.facebook_page_id for row in rows}) > 1:
        raise PageAmbiguous(f"{len(rows)} Pages are called {name}.")
    return rows


def upsert_page(
    connection: Connection,
    *,
    facebook_page_id: str,
    platform: Platform,
    account_id: str,
    name: str | None,
    access_token_encrypted: str,
    now: datetime,
    token_expires_at: datetime | None = None,
    source_url: str | None = None,
) -> tuple[Page, bool]:
    """Add a Page, or give a known one its new token and name; also returns whether it is new."""
    values: dict[str, Any] = {
        "account_id": account_id,
        "access_token_encrypted": access_token_encrypted,
        "token_state": TokenState.VALID.value,
        "token_reason": None,
        "token_problem": None,
        "token_expires_at": token_expires_at,
        "source_url": source_url,
        "updated_at": now,
    }
    if name is not None:
        values["name"] = name
    key = (table.c.facebook_page_id == facebook_page_id) & (table.c.platform == platform.value)
    is_new = connection.execute(update(table).where(key).values(**values)).rowcount == 0
    if is_new:
        row = {
            "id": new_id(),
            "facebook_page_id": facebook_page_id,
            "platform": platform.value,
            "created_at": now,
        }
        connection.execute(insert(table), row | values)
    return _page(connection.execute(select(table).where(key)).one()), is_new


def remove_page(connection: Connection, page: Page) -> None:
    """Forget a Page with everything that is stored of it."""
    connection.execute(delete(table).where(table.c.id == page.id))


def get_page(connection: Connection, page_id: str) -> Page:
    """A Page by our id, as it is now. Raises PageUnknown where it was removed meanwhile."""
    return find_pages(connection, [page_id])[0]


def get_encrypted_token(connection: Connection, page: Page) -> str:
    """The Page's token, sealed."""
    return str(
        connection.execute(select(table.c.access_token_encrypted).where(table.c.id == page.id)).scalar_one()
    )


def set_token_state(
    connection: Connection,
    page: Page,
    state: TokenState,
    *,
    reason: TokenReason | None = None,
    problem: str | None,
    now: datetime,
) -> None:
    """Mark what the last use of the token told."""
    values = {
        "token_state": state.value,
        "token_reason": reason.value if reason else None,
        "token_problem": problem,
        "updated_at": now,
    }
    connection.execute(update(table).where(table.c.id == page.id).values(**values))


def set_history(connection: Connection, page: Page, history: History, *, now: datetime) -> None:
    """How far back the messages of this Page's conversations shall be kept whole."""
    _set(connection, page, table.c.history, history.value, now=now)


def set_batch_size(connection: Connection, page: Page, conversations: int | None, *, now: datetime) -> None:
    """How many conversations a call the source was seen to manage."""
    _set(connection, page, table.c.batch_size, conversations, now=now)


def set_time_windows(connection: Connection, page: Page, honoured: bool | None, *, now: datetime) -> None:  # noqa: FBT001 - the value
    """Whether the source honours being asked for a stretch of time."""
    _set(connection, page, table.c.time_windows, honoured, now=now)


def _set(connection: Connection, page: Page, column: Column[Any], value: object, *, now: datetime) -> None:
    # Looked up rather than taken from `page`, which may have been read long ago.
    of_page = table.c.id == page.id
    if connection.execute(select(column).where(of_page)).scalar_one_or_none() != value:
        connection.execute(update(table).where(of_page).values({column: value, table.c.updated_at: now}))


def set_last_synced_at(connection: Connection, page: Page, at: datetime | None, *, now: datetime) -> None:
    """Everything up to `at` is stored; None: that is not known, and the next sync is a full one."""
    connection.execute(update(table).where(table.c.id == page.id).values(last_synced_at=at, updated_at=now))


def has_conversations(connection: Connection, page: Page) -> bool:
    """Whether anything at all is stored of a Page."""
    # The newest, by an index: for any row at all SQLite may look through the whole table.
    newest = select(messenger_conversations.c.id).where(messenger_conversations.c.page_id == page.id)
    in_order = newest.order_by(messenger_conversations.c.last_message_time.desc())
    return connection.execute(in_order.limit(1)).first() is not None


def count_conversations(connection: Connection, page_id: str) -> int:
    """Conversations stored of a Page (our id)."""
    of_page = messenger_conversations.c.page_id == page_id
    counted = select(func.count()).select_from(messenger_conversations).where(of_page)
    return connection.execute(counted).scalar_one()


def count_page(connection: Connection, page: Page) -> PageCounts:
    """Conversations, distinct contacts and messages stored of a Page."""
    of_page = messenger_conversations.c.page_id == page.id
    conversations, contacts = connection.execute(
        select(func.count(), func.count(messenger_conversations.c.sender_id.distinct())).where(of_page)
    ).one()
    stored = connection.execute(
        select(func.count()).select_from(messages.join(messenger_conversations)).where(of_page)
    ).scalar_one()
    return PageCounts(conversations=conversations, contacts=contacts, messages=stored)


def _page(row: Row[Any]) -> Page:
    return Page(
        id=row.id,
        facebook_page_id=row.facebook_page_id,
        platform=Platform(row.platform),
        account_id=row.account_id,
        name=row.name,
        token_state=TokenState(row.token_state),
        last_synced_at=row.last_synced_at,
        token_reason=_reason(row.token_reason),
        token_problem=row.token_problem,
        history=History(row.history),
        batch_size=row.batch_size,
        time_windows=row.time_windows,
        token_expires_at=row.token_expires_at,
        source_url=row.source_url,
    )


def _reason(stored: str | None) -> TokenReason | None:
    if stored is None:
        return None
    # One that a newer inboxsync knows must not stop this one from syncing.
    return TokenReason(stored) if stored in set(TokenReason) else TokenReason.OTHER


def put_quota(connection: Connection, quota: Quota, *, now: datetime) -> None:
    """Replace what is known about this quota."""
    row = {
        "object_id": quota.object_id,
        "type": quota.type,
        "used_percent": quota.used_percent,
        "blocked_until_at": quota.blocked_until,
        "refusals": quota.refusals,
        "updated_at": now,
    }
    put_row(connection, quotas, row)


def list_quotas(connection: Connection, *, blocked_after: datetime | None = None) -> list[Quota]:
    """Every known quota, or those that block calls after that time."""
    query = select(quotas).order_by(quotas.c.object_id, quotas.c.type)
    if blocked_after is not None:
        query = query.where(quotas.c.blocked_until_at > blocked_after)
    return [
        Quota(
            object_id=row.object_id,
            type=row.type,
            used_percent=row.used_percent,
            blocked_until=row.blocked_until_at,
            refusals=row.refusals,
        )
        for row in connection.execute(query)
    ]


def put_verification(connection: Connection, verification: Verification) -> None:
    """Store a verification report; earlier ones stay."""
    row = {
        "id": verification.id,
        "page_id": verification.page_id,
        "checked_at": verification.checked_at,
        "is_complete": verification.is_complete,
        "summary": verification.summary,
    }
    connection.execute(insert(verifications), row)


def newest_verification(connection: Connection, page: Page) -> Verification | None:
    """The last report of this Page; None where it was never verified."""
    return newest_verifications(connection, [page.id]).get(page.id)


def newest_verifications(
    connection: Connection, page_ids: Collection[str] | None = None
) -> dict[str, Verification]:
    """The last report of each of these Pages (our ids); None: of all."""
    newest = (
        select(verifications.c.id)
        .where(verifications.c.page_id == table.c.id)
        .order_by(verifications.c.checked_at.desc(), verifications.c.id.desc())
        .limit(1)
        .correlate(table)
        .scalar_subquery()
    )
    # By the Page's own index: a Page has a report for each night.
    query = select(verifications).select_from(table.join(verifications, verifications.c.id == newest))
    if page_ids is not None:
        query = query.where(table.c.id.in_(page_ids))
    return {row.page_id: _verification(row) for row in connection.execute(query)}


def _verification(row: Row[Any]) -> Verification:
    return Verification(
        id=row.id,
        page_id=row.page_id,
        checked_at=row.checked_at,
        is_complete=row.is_complete,
        summary=row.summary,
    )

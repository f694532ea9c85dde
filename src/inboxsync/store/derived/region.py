"""The country of phone numbers that are written without one, and what is searched again for a new one.

What was found was found for the region that was set then. A new region is noticed, and every conversation is
searched again. A process that sets no region uses the last one: it must not undo what others have found.
"""

from collections.abc import Collection
from typing import Final

from sqlalchemy import Connection, Select, bindparam, delete, insert, select, update

from inboxsync.store.connection.statements import Among, select_among
from inboxsync.store.derived.lookup import Lookup, Step
from inboxsync.store.derived.message_index import Unindexed, has_index
from inboxsync.store.tables import contact_details, messages, messenger_conversations
from inboxsync.store.tables import detail_region as table

_TEXTS: Final = Lookup(
    keys=(("row_id", "text"),),
    steps=(
        Step("messenger_conversations", "c", "c.id = k.row_id"),
        Step(
            "messages",
            "m",
            "m.conversation_id = c.id AND m.is_readable AND NOT m.is_from_page AND m.text <> ''",
        ),
    ),
    columns="c.id, c.page_id, m.message_id, m.sent_at, m.is_from_page, m.text",
    types=(("sent_at", messages.c.sent_at.type), ("is_from_page", messages.c.is_from_page.type)),
)
_DELETE: Final = delete(contact_details).where(contact_details.c.conversation_id == bindparam("row_id"))


def settle_region(connection: Connection, named: str | None) -> str | None:
    """The region to use. Where it is not the last one, everything is to be searched again."""
    last = last_region(connection)
    if named is None or named == last:
        return last
    again_after = "" if has_index(connection) else None
    connection.execute(delete(table))
    connection.execute(insert(table).values(id=1, region=named, again_after=again_after))
    return named


def last_region(connection: Connection) -> str | None:
    """The region that was named last."""
    return connection.execute(select(table.c.region)).scalar_one_or_none()


def is_settled(connection: Connection, named: str | None) -> bool:
    """Whether everything was searched for this region; None: for the last one."""
    row = connection.execute(select(table.c.region, table.c.again_after)).one_or_none()
    if row is None:
        return named is None
    return row.again_after is None and named in (None, row.region)


def list_to_search(connection: Connection, *, limit: int) -> list[str]:
    """The next conversations (our ids) to be searched again."""
    after = connection.execute(select(table.c.again_after)).scalar_one_or_none()
    if after is None:
        return []
    row_id = messenger_conversations.c.id
    query = select(row_id).where(row_id > after).order_by(row_id).limit(limit)
    return list(connection.execute(query).scalars())


def note_searched(connection: Connection, conversation_ids: list[str]) -> None:
    """Note that the next ones, all of these, were searched again; without any, that all were."""
    connection.execute(update(table).values(again_after=max(conversation_ids, default=None)))


def list_with_text(connection: Connection, conversation_ids: Collection[str]) -> list[Unindexed]:
    """What contacts wrote in these conversations (our ids)."""
    return list(map(Unindexed._make, _TEXTS.rows(connection, [(row_id,) for row_id in conversation_ids])))


def forget_details(connection: Connection, conversation_ids: Collection[str]) -> set[str]:
    """Remove what was found in these conversations (our ids); returns those of them that had any."""
    had = {row_id for (row_id,) in select_among(connection, _with_details, conversation_ids)}
    if had:
        connection.execute(_DELETE, [{"row_id": row_id} for row_id in sorted(had)])
    return had


def _with_details(among: Among) -> Select[str]:
    return (
        select(contact_details.c.conversation_id).where(among(contact_details.c.conversation_id)).distinct()
    )

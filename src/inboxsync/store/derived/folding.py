"""By which rules the stored words were folded, and what is folded again where there are newer ones.

Words of a query and stored words must be folded alike. A pass that finds words of older rules folds those of
all conversations again, some at a time.
"""

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, delete, insert, select, update

from inboxsync.store.derived.lookup import Lookup, Step
from inboxsync.store.derived.message_index import has_index
from inboxsync.store.search.letters import VERSION
from inboxsync.store.tables import messages, messenger_conversations
from inboxsync.store.tables import search_folding as table

_KEYS: Final = Lookup(
    keys=(("row_id", "text"),),
    steps=(Step("messages", "m", "m.conversation_id = k.row_id AND m.is_readable"),),
    columns="m.conversation_id, m.message_id, m.sent_at",
    types=(("sent_at", messages.c.sent_at.type),),
)


def settle_folding(connection: Connection) -> None:
    """Note the rules of this version. Where words were folded by others, all are to be folded again."""
    if connection.execute(select(table.c.version)).scalar_one_or_none() == VERSION:
        return
    again_after = "" if has_index(connection) else None
    connection.execute(delete(table))
    connection.execute(insert(table).values(id=1, version=VERSION, again_after=again_after))


def is_folded(connection: Connection) -> bool:
    """Whether all stored words were folded by the rules of this version."""
    row = connection.execute(select(table.c.version, table.c.again_after)).one_or_none()
    if row is None:
        return not has_index(connection)
    return row.version == VERSION and row.again_after is None


def list_to_fold(connection: Connection, *, limit: int) -> list[str]:
    """The next conversations (our ids) whose words are to be folded again."""
    after = connection.execute(select(table.c.again_after)).scalar_one_or_none()
    if after is None:
        return []
    row_id = messenger_conversations.c.id
    query = select(row_id).where(row_id > after).order_by(row_id).limit(limit)
    return list(connection.execute(query).scalars())


def note_folded(connection: Connection, conversation_ids: list[str]) -> None:
    """Note that the next ones, all of these, were folded again; without any, that all are."""
    connection.execute(update(table).values(again_after=max(conversation_ids, default=None)))


def list_keys(connection: Connection, conversation_ids: list[str]) -> list[tuple[str, str, datetime | None]]:
    """The messages of these conversations: (our conversation id, Graph's id, its time)."""
    rows = _KEYS.rows(connection, [(row_id,) for row_id in conversation_ids])
    return [(row.conversation_id, row.message_id, row.sent_at) for row in rows]

"""Where phone numbers without a country's number are looked for, and what is looked through anew for it.

What was found stands for the region that was named then. Another one is noticed, and every conversation has
its turn again. Who names none goes by what was named last: a process without the setting must not undo what
others have found.
"""

from collections.abc import Collection

from sqlalchemy import Connection, delete, insert, select, update

from inboxsync.store.derived.indexing import Unindexed
from inboxsync.store.tables import contact_details, message_index, messages, messenger_conversations
from inboxsync.store.tables import detail_region as table


def settle_region(connection: Connection, named: str | None) -> str | None:
    """The region to look in. Where another than the last one is named, all is to be looked through anew."""
    last = connection.execute(select(table.c.region)).scalar_one_or_none()
    if named is None or named == last:
        return last
    has_looked = connection.execute(select(message_index.c.id).limit(1)).first() is not None
    connection.execute(delete(table))
    connection.execute(insert(table).values(id=1, region=named, again_after="" if has_looked else None))
    return named


def is_settled(connection: Connection, named: str | None) -> bool:
    """Whether all that was looked through was so for this region; None: for the last one."""
    row = connection.execute(select(table.c.region, table.c.again_after)).one_or_none()
    if row is None:
        return named is None
    return row.again_after is None and named in (None, row.region)


def take_conversations_again(connection: Connection, *, limit: int) -> list[str]:
    """The next conversations (our ids) that are looked through anew; none at the end, which is then noted."""
    after = connection.execute(select(table.c.again_after)).scalar_one_or_none()
    if after is None:
        return []
    row_id = messenger_conversations.c.id
    some = select(row_id).where(row_id > after).order_by(row_id).limit(limit)
    ids = list(connection.execute(some).scalars())
    connection.execute(update(table).values(again_after=ids[-1] if ids else None))
    return ids


def list_with_text(connection: Connection, conversation_ids: Collection[str]) -> list[Unindexed]:
    """What contacts wrote in these conversations (our ids)."""
    conversations = messenger_conversations
    columns = (
        messages.c.conversation_id,
        conversations.c.page_id,
        messages.c.message_id,
        messages.c.sent_at,
        messages.c.is_from_page,
        messages.c.text,
    )
    written = messages.c.is_readable & ~messages.c.is_from_page & (messages.c.text != "")
    query = (
        select(*columns)
        .join(conversations, conversations.c.id == messages.c.conversation_id)
        .where(messages.c.conversation_id.in_(list(conversation_ids)), written)
    )
    return [Unindexed(*row) for row in connection.execute(query)]


def forget_details(connection: Connection, conversation_ids: Collection[str]) -> set[str]:
    """Remove what was found in these conversations (our ids); returns those of them that had any."""
    of_these = contact_details.c.conversation_id.in_(list(conversation_ids))
    had = set(connection.execute(select(contact_details.c.conversation_id).where(of_these)).scalars())
    connection.execute(delete(contact_details).where(of_these))
    return had

"""What the source last served of each conversation, as a hash.

A conversation that is served just as it was last stored is not looked at again: not decoded, not compared,
not written. Its row has the fingerprint of what was served and the number of messages that were then stored:
the number shows whether somebody has deleted some of them.

An answer may bring more messages of a conversation than those that follow it will. Then its row has two
fingerprints: of all that was served, and of what an answer with fewer messages would have served.
"""

from collections.abc import Mapping
from functools import cache

from sqlalchemy import Connection, Text, Update, bindparam, func, or_, select, update

from inboxsync.store.tables import messages
from inboxsync.store.tables import messenger_conversations as table
from inboxsync.store.writing.bulk import Merged


def note_fingerprints(connection: Connection, fingerprints: Mapping[str, str | None]) -> None:
    """Note what was served of these conversations, by our id, once all of it is stored; None: look again."""
    rows = [{"row_id": row_id, "noted": noted} for row_id, noted in fingerprints.items()]
    connection.execute(_note(), rows)


def keep_fingerprint(connection: Connection, row_id: str, merged: Merged) -> None:
    """Messages of this conversation (our id) were fetched without the list.

    New ones change nothing of what a list serves; where others were changed, it has to be looked at again.
    """
    if merged.changed:
        note_fingerprints(connection, {row_id: None})
    elif merged.new:
        connection.execute(_count_on(), {"row_id": row_id, "new": merged.new})


@cache
def _note() -> Update:
    """Writes only where it changes something: a row that stays as it is must not be written again."""
    noted = bindparam("noted", type_=Text)
    count = (
        select(func.count())
        .select_from(messages)
        .where(messages.c.conversation_id == table.c.id)
        .scalar_subquery()
    )
    return (
        update(table)
        .where(table.c.id == bindparam("row_id"))
        .where(
            or_(
                table.c.fingerprint.is_distinct_from(noted),
                noted.is_not(None) & table.c.fingerprint_messages.is_distinct_from(count),
            )
        )
        .values(fingerprint=noted, fingerprint_messages=count)
    )


@cache
def _count_on() -> Update:
    return (
        update(table)
        .where(table.c.id == bindparam("row_id"), table.c.fingerprint.is_not(None))
        .values(fingerprint_messages=table.c.fingerprint_messages + bindparam("new"))
    )

"""What the source last served of each conversation, in short.

A conversation that is served just as it was stored last need not be looked at again: not decoded,
not compared, not written. Its row has the digest of what was served and how many messages were then
stored. Whoever writes messages of it in any other way forgets the digest; that somebody deleted some
of them by hand, the number tells.
"""

from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

from sqlalchemy import (
    Connection,
    ScalarSelect,
    Select,
    Text,
    Update,
    bindparam,
    func,
    or_,
    select,
    update,
)

from inboxsync.store.connection.statements import Among, select_among
from inboxsync.store.tables import messages
from inboxsync.store.tables import messenger_conversations as table
from inboxsync.store.writing.conversation_rows import StoredConversation


def find_as_stored(
    connection: Connection,
    served: Mapping[str, str | None],
    stored: Mapping[str, StoredConversation],
    *,
    folder: str,
) -> frozenset[str]:
    """Those of these conversations that are stored just as they were served now.

    `served` has the digests of what was served, by Graph's id.
    """
    alike = {
        graph_id: have
        for graph_id, have in stored.items()
        if have.fingerprint is not None
        and have.fingerprint == served.get(graph_id)
        and have.folder == folder
        and not have.is_gone
    }
    if not alike:
        return frozenset()
    counts = _count_messages(connection, [have.id for have in alike.values()])
    return frozenset(i for i, have in alike.items() if counts.get(have.id, 0) == have.fingerprint_messages)


def note_fingerprints(connection: Connection, fingerprints: Mapping[str, str | None]) -> None:
    """Note what was served of these conversations, by our id, once all of it is stored; None: look again."""
    if fingerprints:
        rows = [{"row_id": row_id, "digest": fingerprint} for row_id, fingerprint in fingerprints.items()]
        connection.execute(_note(), rows)


def forget_fingerprint(connection: Connection, row_id: str) -> None:
    """Messages of this conversation (our id) were written otherwise: look at it again."""
    note_fingerprints(connection, {row_id: None})


def _count_messages(connection: Connection, row_ids: Collection[str]) -> dict[str, int]:
    rows = select_among(connection, _counted, row_ids)
    return {row_id: count for row_id, count in rows}  # noqa: C416 - a row is no pair to the type checker


def _counted(among: Among) -> Select[Any]:
    # One look into the index for each, whatever the planner thinks of the tables' sizes.
    return select(table.c.id, _stored_messages()).where(among(table.c.id))


def _stored_messages() -> ScalarSelect[int]:
    return (
        select(func.count())
        .select_from(messages)
        .where(messages.c.conversation_id == table.c.id)
        .scalar_subquery()
    )


@cache
def _note() -> Update:
    """Writes only where it changes something: a row that stays as it is must not be written anew."""
    fingerprint = bindparam("digest", type_=Text)
    count = _stored_messages()
    return (
        update(table)
        .where(table.c.id == bindparam("row_id"))
        .where(
            or_(
                table.c.fingerprint.is_distinct_from(fingerprint),
                fingerprint.is_not(None) & table.c.fingerprint_messages.is_distinct_from(count),
            )
        )
        .values(fingerprint=fingerprint, fingerprint_messages=count)
    )

"""Who waits for whom, conversation by conversation, from the stored messages."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from sqlalchemy import Connection, select

from inboxsync.model import Exchange, exchange_of
from inboxsync.model.exchange import Sent
from inboxsync.store.streams.scope import CONVERSATIONS_AT_ONCE, Scope, iter_chunks, iter_rows
from inboxsync.store.tables import messages, messenger_conversations


@dataclass(frozen=True, slots=True)
class Outline:
    """What has to be known of a conversation to judge its messages."""

    has_older_messages: bool
    is_gone: bool


def exchanges_of(connection: Connection, has_older: Mapping[str, bool]) -> dict[str, Exchange]:
    """The exchanges of these conversations (our ids, each with whether the source has older messages)."""
    found = {
        row_id: exchange_of(sent, has_older=has_older[row_id])
        for row_id, sent in iter_sent(connection, has_older)
    }
    nothing = Exchange()
    return {row_id: found.get(row_id, nothing) for row_id in has_older}


def iter_sent(connection: Connection, row_ids: Collection[str]) -> Iterator[tuple[str, Iterator[Sent]]]:
    """Our id of each of these conversations that has messages, and these in the order of `model.exchange`."""
    query = (
        select(messages.c.conversation_id, messages.c.sent_at, messages.c.is_from_page)
        .where(messages.c.conversation_id.in_(list(row_ids)), messages.c.is_readable)
        .order_by(messages.c.conversation_id, messages.c.sent_at, messages.c.is_from_page)
    )
    for row_id, rows in groupby(iter_rows(connection, query), key=itemgetter(0)):
        yield row_id, ((row.sent_at, row.is_from_page) for row in rows)


def iter_conversations_sent(connection: Connection, scope: Scope) -> Iterator[tuple[Outline, Iterator[Sent]]]:
    """Every conversation of these Pages that has messages, whenever they were sent, and these."""
    table = messenger_conversations
    for page in scope.pages:
        query = (
            select(table.c.id, table.c.has_older_messages, table.c.conversation_status)
            .where(table.c.page_id == page.id)
            .order_by(table.c.conversation_id)
        )
        for chunk in iter_chunks(iter_rows(connection, query), CONVERSATIONS_AT_ONCE):
            outlines = {
                row.id: Outline(row.has_older_messages, row.conversation_status == "gone") for row in chunk
            }
            for row_id, sent in iter_sent(connection, outlines):
                yield outlines[row_id], sent

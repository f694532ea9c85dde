"""Who waits for whom, conversation by conversation, from the stored messages."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from typing import Any, Self

from sqlalchemy import Connection, Row, select

from inboxsync.model import Exchange, exchange_of
from inboxsync.model.exchange import Sent
from inboxsync.store.reading.scope import CONVERSATIONS_AT_ONCE, Scope, iter_chunks, iter_rows
from inboxsync.store.tables import messages, messenger_conversations


@dataclass(frozen=True, slots=True)
class Summary:
    """What has to be known of a conversation to judge its messages."""

    has_older_messages: bool
    is_gone: bool

    @classmethod
    def of(cls, row: Row[Any]) -> Self:
        """From a row that has these two columns."""
        return cls(row.has_older_messages, row.conversation_status == "gone")


def exchanges_of(connection: Connection, summaries: Mapping[str, Summary]) -> dict[str, Exchange]:
    """The exchanges of these conversations (our ids). Nobody waits in one that the source no longer has."""
    found = dict.fromkeys(summaries, Exchange())
    for row_id, sent in iter_sent(connection, summaries):
        summary = summaries[row_id]
        exchange = exchange_of(sent, has_older=summary.has_older_messages)
        found[row_id] = replace(exchange, unanswered_since=None) if summary.is_gone else exchange
    return found


def iter_sent(connection: Connection, row_ids: Collection[str]) -> Iterator[tuple[str, Iterator[Sent]]]:
    """Our id of each of these conversations that has messages, and these in the order of `model.exchange`."""
    query = (
        select(messages.c.conversation_id, messages.c.sent_at, messages.c.is_from_page)
        .where(messages.c.conversation_id.in_(list(row_ids)), messages.c.is_readable)
        .order_by(messages.c.conversation_id, messages.c.sent_at, messages.c.is_from_page)
    )
    for row_id, rows in groupby(iter_rows(connection, query), key=itemgetter(0)):
        yield row_id, ((row.sent_at, row.is_from_page) for row in rows)


def iter_conversations_sent(connection: Connection, scope: Scope) -> Iterator[tuple[Summary, Iterator[Sent]]]:
    """Every conversation of these Pages that has messages, whenever they were sent, and these."""
    table = messenger_conversations
    for page in scope.pages:
        query = (
            select(table.c.id, table.c.has_older_messages, table.c.conversation_status)
            .where(table.c.page_id == page.id)
            .order_by(table.c.conversation_id)
        )
        for chunk in iter_chunks(iter_rows(connection, query), CONVERSATIONS_AT_ONCE):
            summaries = {row.id: Summary.of(row) for row in chunk}
            for row_id, sent in iter_sent(connection, summaries):
                yield summaries[row_id], sent

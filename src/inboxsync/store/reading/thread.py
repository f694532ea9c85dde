"""One conversation's messages, and where some are missing."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, and_, func, literal, select, tuple_

from inboxsync.model import BacklogKind
from inboxsync.store.connection.types import NO_TIME
from inboxsync.store.reading.lists import Key, Listed
from inboxsync.store.tables import backlog, messenger_conversations
from inboxsync.store.tables import messages as table

_decode_anchors = msgspec.json.Decoder(tuple[str, ...]).decode
# The row of the ledger that says that a conversation has a gap: one at most.
IS_GAP = and_(
    backlog.c.page_id == messenger_conversations.c.page_id,
    backlog.c.conversation_id == messenger_conversations.c.conversation_id,
    backlog.c.kind == BacklogKind.GAP.value,
)


class MessageRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One message; `attachments`, `shares`, `reactions` and `story` are JSON as served.

    `is_readable` is false where the source tells no more than its time.
    """

    conversation_id: str
    message_id: str
    sent_at: datetime | None
    is_from_page: bool
    sender_id: str | None
    sender_name: str | None
    text: str | None
    attachments: str | None
    shares: str | None
    sticker: str | None
    reactions: str | None
    story: str | None
    reply_to_message_id: str | None
    source: str
    is_readable: bool

    @property
    def key(self) -> Key:
        """Where it stands among its conversation's messages."""
        return self.sent_at, self.message_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Messages of a conversation that the source has and the store does not, between those that are stored.

    They are newer than `above_message_id`, which is stored; None: between which two is not known. `since` it
    is owed.
    """

    above_message_id: str | None
    since: datetime
    problem: str | None


def list_messages(
    connection: Connection,
    conversation_id: str,
    *,
    before: Key | None = None,
    after: Key | None = None,
    limit: int = 50,
) -> Listed[MessageRecord]:
    """Messages of a conversation (our id), newest first; those without a time last.

    `before` a key: older ones, and `next` is the key before which the next ones stand. `after` a key: the
    `limit` next newer ones, and `next` is the key after which still newer ones stand.
    """
    # A conversation's messages lie side by side; to order them by time too would cost every write.
    place = (func.coalesce(table.c.sent_at, literal(NO_TIME, table.c.sent_at.type)), table.c.message_id)
    columns = [table.c[name] for name in MessageRecord.__struct_fields__]
    query = select(*columns).where(table.c.conversation_id == conversation_id)
    for key, comes in ((before, tuple_(*place).__lt__), (after, tuple_(*place).__gt__)):
        if key is not None:
            at = literal(key[0] or NO_TIME, table.c.sent_at.type)
            query = query.where(comes(tuple_(at, key[1])))
    order = [each.asc() if after is not None else each.desc() for each in place]
    found = [_message(row) for row in connection.execute(query.order_by(*order).limit(limit + 1))]
    kept = found[:limit]
    following = kept[-1].key if len(found) > limit and kept else None
    return Listed(records=tuple(reversed(kept) if after is not None else kept), next=following)


def list_gaps(connection: Connection, conversation_id: str) -> list[Gap]:
    """What is owed between the stored messages of a conversation (our id)."""
    conversations = messenger_conversations.c
    rows = connection.execute(
        select(backlog.c.anchors, backlog.c.created_at, backlog.c.error_message)
        .join(messenger_conversations, IS_GAP)
        .where(conversations.id == conversation_id)
    )
    return [gap_of(connection, conversation_id, *row) for row in rows]


def gap_of(
    connection: Connection, conversation_id: str, anchors: str | None, since: datetime, problem: str | None
) -> Gap:
    """A gap of this conversation (our id), as the ledger's row tells it."""
    above = next(iter(_decode_anchors(anchors) if anchors else ()), None)
    if above is not None:
        anchor = (table.c.conversation_id == conversation_id) & (table.c.message_id == above)
        # Deleted by hand it has no place any more, and the gap must be told all the same.
        above = connection.execute(select(table.c.message_id).where(anchor)).scalar_one_or_none()
    return Gap(above_message_id=above, since=since, problem=problem)


def _message(row: Row[Any]) -> MessageRecord:
    return MessageRecord(**row._asdict())

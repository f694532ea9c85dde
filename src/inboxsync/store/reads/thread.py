"""One conversation's messages, and where some are missing."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, literal, select, tuple_

from inboxsync.model import Phase
from inboxsync.store.reads.listed import NO_TIME, Key, Listed
from inboxsync.store.tables import messages as table
from inboxsync.store.tables import messenger_conversations, sync_items

_decode_anchors = msgspec.json.Decoder(tuple[str, ...]).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRecord:
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

    They are newer than `above_message_id`; None: between which two is not known. `since` it is owed.
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
    columns = [table.c[name] for name in MessageRecord.__dataclass_fields__]
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
    conversations = messenger_conversations
    rows = connection.execute(
        select(sync_items.c.anchors, sync_items.c.created_at, sync_items.c.error_message)
        .join(
            conversations,
            (conversations.c.page_id == sync_items.c.page_id)
            & (conversations.c.conversation_id == sync_items.c.conversation_id),
        )
        .where(conversations.c.id == conversation_id, sync_items.c.phase == Phase.GAP.value)
    )
    return [
        Gap(
            above_message_id=next(iter(_decode_anchors(anchors) if anchors else ()), None),
            since=since,
            problem=problem,
        )
        for anchors, since, problem in rows
    ]


def _message(row: Row[Any]) -> MessageRecord:
    return MessageRecord(**row._asdict())

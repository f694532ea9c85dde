"""Where messages of a conversation are missing between stored ones."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import Connection, and_, select

from inboxsync.model import BacklogKind
from inboxsync.store.tables import backlog, messages, messenger_conversations

_decode_anchors = msgspec.json.Decoder(tuple[str, ...]).decode
# The backlog item that says that a conversation has a gap: one at most.
IS_GAP: Final = and_(
    backlog.c.page_id == messenger_conversations.c.page_id,
    backlog.c.conversation_id == messenger_conversations.c.conversation_id,
    backlog.c.kind == BacklogKind.GAP.value,
)
# What an item says of its gap.
GAP_COLUMNS: Final = (backlog.c.anchors, backlog.c.created_at, backlog.c.error_message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Messages of a conversation that the source has and the store does not, between stored ones.

    They are newer than the stored `above_message_id`; None: their place is not known. They have been in the
    backlog since `since`.
    """

    above_message_id: str | None
    since: datetime
    problem: str | None


def list_gaps(connection: Connection, conversation_id: str) -> list[Gap]:
    """The gaps between the stored messages of a conversation (our id)."""
    rows = connection.execute(
        select(*GAP_COLUMNS)
        .join(messenger_conversations, IS_GAP)
        .where(messenger_conversations.c.id == conversation_id)
    )
    return [gap_of(connection, conversation_id, *row) for row in rows]


def gap_of(
    connection: Connection, conversation_id: str, anchors: str | None, since: datetime, problem: str | None
) -> Gap:
    """The gap of this conversation (our id) that a row of `GAP_COLUMNS` describes."""
    above = next(iter(_decode_anchors(anchors) if anchors else ()), None)
    if above is not None:
        anchor = (messages.c.conversation_id == conversation_id) & (messages.c.message_id == above)
        # An anchor that was deleted by hand has no place any more. The gap must be shown all the same.
        above = connection.execute(select(messages.c.message_id).where(anchor)).scalar_one_or_none()
    return Gap(above_message_id=above, since=since, problem=problem)

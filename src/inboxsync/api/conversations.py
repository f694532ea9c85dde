"""`/api/v1/conversations`: the stored inbox."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Path, Query
from pydantic import Field

from inboxsync.api.auth import requires
from inboxsync.api.problems import ConversationUnknown
from inboxsync.api.schemas import (
    ID_PATTERN,
    CursorText,
    Limit,
    Listed,
    OfPage,
    Shape,
    Since,
    StoredId,
    as_json,
    decode_key,
    encode_key,
    example,
    filter_mark,
)
from inboxsync.api.service import ServiceDependency, page_id_of
from inboxsync.model import Platform, Scope
from inboxsync.store.reading import (
    ConversationFilter,
    ConversationRecord,
    MessageRecord,
    get_conversation,
    list_conversations,
    list_messages,
)

router = APIRouter(prefix="/api/v1/conversations", tags=["conversations"])

_CONVERSATION = {
    "id": "01978b2e-7d43-7ff6-ac9a-6d5e4f3a2b1c",
    "pageId": "01978b2e-4a10-7cc3-9f6d-3a2b1c0d9e8f",
    "conversationId": "t_1234567890123456",
    "platform": "messenger",
    "folder": "inbox",
    "senderId": "7654321098765432",
    "senderName": "Ann Example",
    "lastMessage": "Are you open on Sunday?",
    "lastMessageTime": "2026-06-01T11:58:03Z",
    "messageCount": 14,
    "unreadCount": 1,
    "conversationStatus": "active",
    "link": "/104567890123456/inbox/1234567890/",
    "hasOlderMessages": True,
    "unansweredSince": "2026-06-01T11:58:03Z",
    "hasPhone": False,
    "hasEmail": False,
    "updatedAt": "2026-06-01T12:00:31Z",
}
_MESSAGE = {
    "messageId": "m_aBcDeF",
    "conversationId": "01978b2e-7d43-7ff6-ac9a-6d5e4f3a2b1c",
    "sentAt": "2026-06-01T11:58:03Z",
    "isFromPage": False,
    "senderId": "7654321098765432",
    "senderName": "Ann Example",
    "text": "Are you open on Sunday?",
    "attachments": None,
    "shares": None,
    "sticker": None,
    "reactions": None,
    "story": None,
    "replyToMessageId": None,
    "source": "initial_sync",
    "isReadable": True,
}
# As `sync.plan.FOLDERS`.
Folder = Literal["inbox", "other", "page_done", "spam"]
ConversationId = Annotated[
    str,
    StoredId,
    Path(
        pattern=ID_PATTERN,
        description="Our id of the conversation (`messenger_conversations.id`).",
        examples=["01978b2e-7d43-7ff6-ac9a-6d5e4f3a2b1c"],
    ),
]


class ConversationShape(Shape):
    """One conversation. `messageCount` and `unreadCount` are Meta's estimates."""

    model_config = example(**_CONVERSATION)

    id: str = Field(description="Ours.")
    page_id: str
    conversation_id: str = Field(description="Graph's.")
    platform: Platform
    folder: str
    sender_id: str | None = Field(description="The contact.")
    sender_name: str | None
    last_message: str | None
    last_message_time: datetime | None
    message_count: int | None
    unread_count: int | None
    conversation_status: str = Field(description="active, or gone: Meta no longer has it.")
    link: str | None
    has_older_messages: bool = Field(description="Meta has older messages than are stored.")
    unanswered_since: datetime | None = Field(description="Since when the contact has waited for an answer.")
    has_phone: bool
    has_email: bool
    updated_at: datetime


class MessageShape(Shape):
    """One message. Attachments, shares, reactions and stories are as Meta sent them."""

    model_config = example(**_MESSAGE)

    message_id: str
    conversation_id: str
    sent_at: datetime | None
    is_from_page: bool
    sender_id: str | None
    sender_name: str | None
    text: str | None
    attachments: Any = None
    shares: Any = None
    sticker: str | None
    reactions: Any = None
    story: Any = None
    reply_to_message_id: str | None
    source: str = Field(description="How it was first stored.")
    is_readable: bool = Field(description="False: the platform gives only its id and time.")


class ThreadShape(ConversationShape):
    """One conversation with its newest messages."""

    model_config = example(**_CONVERSATION, messages={"items": [_MESSAGE], "nextCursor": None})

    messages: Listed[MessageShape] = Field(description="Newest first; `/messages` has the rest.")


@router.get("", summary="List conversations", **requires(Scope.READ, 404, 409))
@as_json
def show_conversations(
    *,
    service: ServiceDependency,
    page: OfPage = None,
    folder: Annotated[Folder | None, Query(description="Only of this folder.")] = None,
    updated_since: Annotated[Since, Query(alias="updatedSince")] = None,
    unread: Annotated[
        bool | None, Query(description="true: only those with unread messages; false: only those without.")
    ] = None,
    unanswered: Annotated[
        bool | None,
        Query(description="true: only those whose contact waits for an answer; false: only the others."),
    ] = None,
    cursor: CursorText = None,
    limit: Limit = 50,
) -> Listed[ConversationShape]:
    """By the time of the newest message, newest first."""
    with service.engine.store.read() as connection:
        wanted = ConversationFilter(
            page_id=page_id_of(connection, page),
            folder=folder,
            updated_since=updated_since,
            is_unread=unread,
            is_unanswered=unanswered,
        )
        mark = filter_mark(
            page=wanted.page_id,
            folder=folder,
            updatedSince=updated_since,
            unread=unread,
            unanswered=unanswered,
        )
        after = decode_key("conversations", cursor, mark=mark) if cursor else None
        found = list_conversations(connection, wanted, after=after, limit=limit)
    return Listed(
        items=[_conversation_shape(each) for each in found.records],
        next_cursor=encode_key("conversations", found.next, mark=mark),
    )


@router.get("/{conversation_id}", summary="A conversation with its messages", **requires(Scope.READ, 404))
@as_json
def show_conversation(
    service: ServiceDependency, conversation_id: ConversationId, limit: Limit = 50
) -> ThreadShape:
    """The newest messages first."""
    with service.engine.store.read() as connection:
        found = get_conversation(connection, conversation_id)
        if found is None:
            raise _unknown()
        messages = list_messages(connection, conversation_id, limit=limit)
    return ThreadShape(
        **dict(_conversation_shape(found)),
        messages=Listed(
            items=[_message_shape(each) for each in messages.records],
            next_cursor=encode_key(f"messages {conversation_id}", messages.next),
        ),
    )


@router.get(
    "/{conversation_id}/messages", summary="The messages of a conversation", **requires(Scope.READ, 404)
)
@as_json
def show_messages(
    service: ServiceDependency, conversation_id: ConversationId, cursor: CursorText = None, limit: Limit = 50
) -> Listed[MessageShape]:
    """Newest first."""
    # The cursor names its conversation: another one's is refused.
    before = decode_key(f"messages {conversation_id}", cursor) if cursor else None
    with service.engine.store.read() as connection:
        if get_conversation(connection, conversation_id) is None:
            raise _unknown()
        found = list_messages(connection, conversation_id, before=before, limit=limit)
    return Listed(
        items=[_message_shape(each) for each in found.records],
        next_cursor=encode_key(f"messages {conversation_id}", found.next),
    )


def _conversation_shape(record: ConversationRecord) -> ConversationShape:
    """A stored conversation in the API's shape."""
    return ConversationShape(
        id=record.id,
        page_id=record.page_id,
        conversation_id=record.conversation_id,
        platform=Platform(record.platform),
        folder=record.folder,
        sender_id=record.sender_id,
        sender_name=record.sender_name,
        last_message=record.last_message,
        last_message_time=record.last_message_time,
        message_count=record.message_count,
        unread_count=record.unread_count,
        conversation_status=record.conversation_status,
        link=record.link,
        has_older_messages=record.has_older_messages,
        unanswered_since=record.unanswered_since_at,
        has_phone=record.has_phone,
        has_email=record.has_email,
        updated_at=record.updated_at,
    )


def _message_shape(record: MessageRecord) -> MessageShape:
    """A stored message in the API's shape."""
    values = msgspec.structs.asdict(record)
    for name in ("attachments", "shares", "reactions", "story"):
        values[name] = msgspec.json.decode(values[name]) if values[name] is not None else None
    return MessageShape(**values)


def _unknown() -> ConversationUnknown:
    return ConversationUnknown("There is no such conversation in the database.")

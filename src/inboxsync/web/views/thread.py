"""`/conversations/{id}`: one conversation, both sides."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection
from starlette.responses import Response

from inboxsync.api.errors import ConversationUnknown
from inboxsync.model import History, Page
from inboxsync.store.reading import (
    ContactDetail,
    ConversationRecord,
    Key,
    MessageRecord,
    get_conversation,
    list_contact_details,
    list_gaps,
    list_messages,
)
from inboxsync.store.state.pages import get_page
from inboxsync.web.entries import Entry, anchor_of, entries_of, gap_entry
from inboxsync.web.keys import key_of, text_of
from inboxsync.web.page_rows import page_label
from inboxsync.web.request_context import RequestContext
from inboxsync.web.views.conversations import FOLDERS, NO_NAME
from inboxsync.web.wording import duration, some

KIND: Final = "thread-view"
_LIMIT: Final = 50
# Of these so many are newer than the message that was looked for.
_NEWER: Final = 20
_HREFS: Final = {"phone": "tel:", "email": "mailto:"}
_LABELS: Final = {"phone": "Phone", "email": "E-mail"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """The messages to show, newest first, and where older ones stand."""

    messages: tuple[MessageRecord, ...]
    older: Key | None
    is_newest: bool
    found: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What stands above the messages."""

    page_id: str
    label: str
    page_label: str
    folder_label: str
    message_words: str
    unanswered_since: datetime | None
    unanswered_words: str
    is_gone: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """A number or an address that the contact wrote, and the message that says so."""

    kind_label: str
    value: str
    href: str
    evidence: str


def show(context: RequestContext) -> Response:
    """Some messages, the newest unless others were asked for."""
    with context.service.engine.store.read() as connection:
        conversation = get_conversation(connection, context.part("id"))
        if conversation is None:
            raise ConversationUnknown("There is no such conversation in the database.", hint="")
        page = get_page(connection, conversation.page_id)
        part = _part(connection, conversation.id, context)
        gaps = list_gaps(connection, conversation.id)
        details = _details(connection, conversation)
    names = (conversation.sender_name or NO_NAME, page_label(page))
    entries = list(entries_of(part.messages, gaps, names=names, found=part.found))
    here = f"/conversations/{conversation.id}"
    return context.show(
        "thread.html",
        here="conversations",
        conversation=_header(conversation, page, context.now),
        details=details,
        entries=[*(gap_entry(gap) for gap in gaps if gap.above_message_id is None), *entries],
        beginning=_beginning(conversation, page, part),
        older=context.here_with(here, before=text_of(KIND, part.older), at=None) if part.older else None,
        newest=None if part.is_newest else here,
    )


def link_to(conversation_id: str, sent_at: datetime | None, message_id: str) -> str:
    """The address that shows a message among its neighbours."""
    at = text_of(KIND, (sent_at, message_id))
    return f"/conversations/{conversation_id}?at={at}#{anchor_of(message_id)}"


def _part(connection: Connection, conversation_id: str, context: RequestContext) -> _Part:
    looked_for = key_of(KIND, context.asked("at"))
    if looked_for is not None:
        return _around(connection, conversation_id, looked_for)
    before = key_of(KIND, context.asked("before"))
    found = list_messages(connection, conversation_id, before=before, limit=_LIMIT)
    return _Part(messages=found.records, older=found.next, is_newest=before is None)


def _around(connection: Connection, conversation_id: str, key: Key) -> _Part:
    newer = list_messages(connection, conversation_id, after=key, limit=_NEWER)
    # No id has a space in it, so what comes before this is the message itself and all older ones.
    itself = (key[0], f"{key[1]} ")
    older = list_messages(connection, conversation_id, before=itself, limit=_LIMIT - _NEWER)
    return _Part(
        messages=(*newer.records, *older.records),
        older=older.next,
        is_newest=newer.next is None,
        found=key[1],
    )


def _header(conversation: ConversationRecord, page: Page, now: datetime) -> Header:
    since = conversation.unanswered_since_at
    stored = (conversation.messages_from_contact or 0) + (conversation.messages_from_page or 0)
    return Header(
        page_id=page.id,
        label=conversation.sender_name or NO_NAME,
        page_label=page_label(page),
        folder_label=FOLDERS.get(conversation.folder, conversation.folder),
        message_words=f"{some(stored, 'message')} stored",
        unanswered_since=since,
        unanswered_words=duration((now - since).total_seconds()) if since else "",
        is_gone=conversation.is_gone,
    )


def _details(connection: Connection, conversation: ConversationRecord) -> list[Detail]:
    if conversation.sender_id is None or not (conversation.has_phone or conversation.has_email):
        return []
    found = list_contact_details(connection, conversation.page_id, conversation.sender_id)
    return [_detail(each) for each in found]


def _detail(found: ContactDetail) -> Detail:
    return Detail(
        kind_label=_LABELS.get(found.kind, found.kind),
        value=found.value,
        href=f"{_HREFS.get(found.kind, 'mailto:')}{found.value}",
        evidence=link_to(found.conversation_id, found.sent_at, found.message_id),
    )


def _beginning(conversation: ConversationRecord, page: Page, part: _Part) -> Entry | None:
    """What stands above the oldest stored message, where that is shown."""
    if part.older is not None or not part.messages:
        return None
    if not conversation.has_older_messages:
        return Entry(kind="day", text="The conversation begins here")
    coming = (
        "They are on their way."
        if page.history is History.ALL
        else "This Page keeps the newest ones; Settings has the switch for all."
    )
    return Entry(kind="gap", text=f"Older messages are at Meta and not stored. {coming}")

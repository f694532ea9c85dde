"""`/conversations`: the list with its filters, and one conversation with both sides."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection
from starlette.responses import Response

from inboxsync.api.problems import ConversationUnknown, RequestInvalid
from inboxsync.api.schemas import encode_key
from inboxsync.model import History, Page
from inboxsync.store.reading import (
    ContactDetail,
    ConversationFilter,
    ConversationOrder,
    ConversationRecord,
    Key,
    MessageRecord,
    count_listed_conversations,
    get_conversation,
    list_contact_details,
    list_conversations,
    list_gaps,
    list_messages,
    messages_of_ids,
)
from inboxsync.store.state.pages import get_page
from inboxsync.web.entries import Entry, address_at_meta, anchor_of, entries_of, gap_entry
from inboxsync.web.lists import counted, cut_words, key_in, order_in, page_choice, page_labels, people_named
from inboxsync.web.page_rows import page_label
from inboxsync.web.request_context import RequestContext
from inboxsync.web.wording import duration, some

_LIST: Final = "conversations-view"
_LIMIT: Final = 50
FOLDERS: Final = {"inbox": "Inbox", "other": "Other", "page_done": "Done", "spam": "Spam"}
_SWITCHES: Final = (
    ("unread", "unread"),
    ("unanswered", "unanswered"),
    ("phone", "with a phone number"),
    ("email", "with an e-mail address"),
)
ORDERS: Final = {ConversationOrder.NEWEST: "Newest first", ConversationOrder.OLDEST: "Oldest first"}
NO_NAME: Final = "Name withheld"
_THREAD: Final = "thread-view"
# How many of them are newer than the message that was searched for.
_NEWER: Final = 20
_HREFS: Final = {"phone": "tel:", "email": "mailto:"}
_LABELS: Final = {"phone": "Phone", "email": "E-mail"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationRow:
    """One line of the list."""

    id: str
    name: str | None
    label: str
    folder: str
    folder_label: str
    is_gone: bool
    page_label: str
    last_message_at: datetime | None
    snippet: str
    unread: int
    unanswered_since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """The messages to show, newest first, and the key of the older ones."""

    messages: tuple[MessageRecord, ...]
    older: Key | None
    is_newest: bool
    found: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What is shown above the messages."""

    page_id: str
    label: str
    page_label: str
    folder_label: str
    message_words: str
    unanswered_since: datetime | None
    unanswered_words: str
    is_gone: bool
    at_meta: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """A phone number or e-mail address from the contact, and a link to the message that has it."""

    kind_label: str
    value: str
    href: str
    evidence: str


def list_some(context: RequestContext) -> Response:
    """The newest conversations that match, and the link to older ones."""
    chosen = {name: context.param(name) for name in ("page", "named", "folder", "since", "contact")}
    order = order_in(ConversationOrder, context.param("sort"))
    switched = {name: context.param(name) == "1" for name, _ in _SWITCHES}
    if chosen["folder"] not in {"", *FOLDERS}:
        raise RequestInvalid("There is no such folder.", hint="Choose one from the list.")
    kind = _LIST if order is ConversationOrder.NEWEST else f"{_LIST}-{order}"
    after = key_in(kind, context.param("after"), mark=context.mark)
    with context.service.engine.store.read() as connection:
        choice = page_choice(connection, chosen["page"])
        chosen["page"] = choice.chosen
        people = people_named(connection, chosen["named"], choice.chosen)
        wanted = ConversationFilter(
            page_id=choice.chosen or None,
            named=chosen["named"] or None,
            people=people,
            folder=chosen["folder"] or None,
            updated_since=context.since_param(),
            sender_id=chosen["contact"] or None,
            is_unread=switched["unread"] or None,
            is_unanswered=switched["unanswered"] or None,
            has_phone=switched["phone"] or None,
            has_email=switched["email"] or None,
        )
        found = list_conversations(connection, wanted, after=after, limit=_LIMIT, order=order)
        count = count_listed_conversations(connection, wanted)
        names = page_labels(connection, (record.page_id for record in found.records))
    return context.show(
        "conversations.html",
        here="conversations",
        choice=choice,
        chosen=chosen | switched | {"sort": order.value},
        orders=[(each.value, label) for each, label in ORDERS.items()],
        cut=cut_words(people),
        folders=FOLDERS.items(),
        switches=_SWITCHES,
        is_filtered=any(chosen.values()) or any(switched.values()),
        conversations=[_row(record, names) for record in found.records],
        show_page=choice.total > 1 and not chosen["page"],
        summary=f"{counted(count, 'conversation')}, {ORDERS[order].lower()}",
        newest=context.url_with("/conversations", after=None) if after else None,
        older=context.url_with("/conversations", after=encode_key(kind, found.next, mark=context.mark))
        if found.next
        else None,
    )


def _row(record: ConversationRecord, names: Mapping[str, str]) -> ConversationRow:
    return ConversationRow(
        id=record.id,
        name=record.sender_name,
        label=record.sender_name or NO_NAME,
        folder=record.folder,
        folder_label=FOLDERS.get(record.folder, record.folder),
        is_gone=record.is_gone,
        page_label=names.get(record.page_id, ""),
        last_message_at=record.last_message_time,
        snippet=record.last_message or "",
        unread=record.unread_count or 0,
        unanswered_since=record.unanswered_since_at,
    )


def show(context: RequestContext) -> Response:
    """Some messages of one conversation: the newest, unless the address asks for others."""
    with context.service.engine.store.read() as connection:
        conversation = get_conversation(connection, context.path_param("id"))
        if conversation is None:
            raise ConversationUnknown("There is no such conversation in the database.", hint="")
        page = get_page(connection, conversation.page_id)
        part = _part(connection, conversation.id, context)
        gaps = list_gaps(connection, conversation.id)
        shown = {each.message_id for each in part.messages}
        answers = {each.reply_to_message_id for each in part.messages if each.reply_to_message_id}
        answered = messages_of_ids(connection, conversation.id, answers - shown)
        details = _details(connection, conversation)
    names = (conversation.sender_name or NO_NAME, page_label(page))
    entries = list(
        entries_of(
            part.messages,
            gaps,
            names=names,
            zone=context.zone,
            found=part.found,
            answered=answered,
            link=lambda each: link_to(conversation.id, each.sent_at, each.message_id),
        )
    )
    here = f"/conversations/{conversation.id}"
    return context.show(
        "thread.html",
        here="conversations",
        conversation=_header(conversation, page, context.now),
        details=details,
        entries=[*(gap_entry(gap) for gap in gaps if gap.above_message_id is None), *entries],
        beginning=_beginning(conversation, page, part),
        older=context.url_with(here, before=encode_key(_THREAD, part.older), at=None) if part.older else None,
        newest=None if part.is_newest else here,
    )


def link_to(conversation_id: str, sent_at: datetime | None, message_id: str) -> str:
    """The address that shows a message with those before and after it."""
    at = encode_key(_THREAD, (sent_at, message_id))
    return f"/conversations/{conversation_id}?at={at}#{anchor_of(message_id)}"


def _part(connection: Connection, conversation_id: str, context: RequestContext) -> _Part:
    searched = key_in(_THREAD, context.param("at"))
    if searched is not None:
        return _around(connection, conversation_id, searched)
    before = key_in(_THREAD, context.param("before"))
    found = list_messages(connection, conversation_id, before=before, limit=_LIMIT)
    return _Part(messages=found.records, older=found.next, is_newest=before is None)


def _around(connection: Connection, conversation_id: str, key: Key) -> _Part:
    newer = list_messages(connection, conversation_id, after=key, limit=_NEWER)
    # No id contains a space, so this key includes the message itself and all older ones.
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
        at_meta="" if conversation.is_gone else address_at_meta(conversation.link),
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
    """What is shown above the oldest stored message; None while that one is not on this page."""
    if part.older is not None or not part.messages:
        return None
    if not conversation.has_older_messages:
        return Entry(kind="day", text="The conversation begins here")
    coming = (
        "Workers are fetching them."
        if page.history is History.ALL
        else "To fetch them, choose “all messages” for this Page in Settings."
    )
    return Entry(kind="gap", text=f"Older messages exist at Meta but are not stored. {coming}")

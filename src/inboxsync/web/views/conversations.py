"""`/conversations`: the list, and what narrows it down."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from starlette.responses import Response

from inboxsync.store.reading import ConversationFilter, ConversationRecord, list_conversations
from inboxsync.web.keys import key_of, text_of
from inboxsync.web.page_list import called, page_choice
from inboxsync.web.request_context import RequestContext

_KIND: Final = "conversations-view"
_LIMIT: Final = 50
FOLDERS: Final = {"inbox": "Inbox", "other": "Other", "page_done": "Done", "spam": "Spam"}
_SWITCHES: Final = (
    ("unread", "unread"),
    ("unanswered", "unanswered"),
    ("phone", "with a phone number"),
    ("email", "with an e-mail address"),
)
NO_NAME: Final = "Name withheld"


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


def list_some(context: RequestContext) -> Response:
    """The newest conversations that fit, and where the list goes on."""
    chosen = {name: context.asked(name) for name in ("page", "folder", "since", "contact")}
    switched = {name: context.asked(name) == "1" for name, _ in _SWITCHES}
    wanted = ConversationFilter(
        page_id=chosen["page"] or None,
        folder=chosen["folder"] or None,
        updated_since=context.asked_since(),
        sender_id=chosen["contact"] or None,
        is_unread=switched["unread"] or None,
        is_unanswered=switched["unanswered"] or None,
        has_phone=switched["phone"] or None,
        has_email=switched["email"] or None,
    )
    after = key_of(_KIND, context.asked("after"))
    with context.service.engine.store.read() as connection:
        choice = page_choice(connection, chosen["page"])
        found = list_conversations(connection, wanted, after=after, limit=_LIMIT)
        names = called(connection, (record.page_id for record in found.records))
    return context.show(
        "conversations.html",
        here="conversations",
        choice=choice,
        chosen=chosen | switched,
        folders=FOLDERS.items(),
        switches=_SWITCHES,
        is_filtered=any(chosen.values()) or any(switched.values()),
        conversations=[_row(record, names) for record in found.records],
        show_page=choice.total > 1 and not chosen["page"],
        summary="The newest first" if after is None else "Older ones",
        newest=context.here_with("/conversations", after=None) if after else None,
        older=context.here_with("/conversations", after=text_of(_KIND, found.next)) if found.next else None,
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

"""Rows of `conversation_facts`: what the stored messages of a conversation tell."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    case,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    true,
)

from inboxsync.store.connection.types import NO_TIME
from inboxsync.store.tables import contact_details, messages, messenger_conversations
from inboxsync.store.tables import conversation_facts as table

# A contact: (our Page id, the contact's id).
Contact = tuple[str, str]


def put_facts(connection: Connection, conversation_ids: Collection[str]) -> set[Contact]:
    """Derive the facts of these conversations (our ids) anew; forget those of conversations that are no more.

    Returns the contacts whose own rows follow from that.
    """
    ids = sorted(conversation_ids)
    of_these = table.c.conversation_id.in_(ids)
    touched = {
        (page_id, sender_id)
        for page_id, sender_id in connection.execute(
            select(table.c.page_id, table.c.sender_id).where(of_these)
        )
        if sender_id is not None
    }
    rows = [_facts(row) for row in connection.execute(_told(ids)).all()]
    connection.execute(delete(table).where(of_these))
    if rows:
        connection.execute(insert(table), rows)
    touched.update((row["page_id"], row["sender_id"]) for row in rows if row["sender_id"] is not None)
    return touched


def _told(ids: list[str]) -> Select[Any]:
    """The conversations, and what their messages add up to."""
    counts = _counts(ids).subquery("counts")
    conversation = messenger_conversations.c
    detail = select(contact_details.c.value).where(contact_details.c.conversation_id == conversation.id)
    # In one second the order is not known: who wrote in the same second as the other has been answered.
    unanswered = _first(
        conversation.id,
        ~messages.c.is_from_page,
        or_(counts.c.last_page_at.is_(None), messages.c.sent_at > counts.c.last_page_at),
    )
    response = _first(
        conversation.id, messages.c.is_from_page, messages.c.sent_at >= counts.c.first_contact_at
    )
    return (
        select(
            conversation.id,
            conversation.page_id,
            conversation.sender_id,
            conversation.last_message_time,
            conversation.conversation_status,
            conversation.has_older_messages,
            *(column for column in counts.c if column.name != "conversation_id"),
            unanswered.label("unanswered_since_at"),
            response.label("response_at"),
            *(
                exists(detail.where(contact_details.c.kind == kind)).label(f"has_{kind}")
                for kind in ("phone", "email")
            ),
        )
        .select_from(messenger_conversations.outerjoin(counts, counts.c.conversation_id == conversation.id))
        .where(conversation.id.in_(ids))
    )


def _counts(ids: list[str]) -> Select[Any]:
    sent_at, is_from_page = messages.c.sent_at, messages.c.is_from_page
    by_page, by_contact = case((is_from_page, sent_at)), case((~is_from_page, sent_at))
    return (
        select(
            messages.c.conversation_id,
            func.min(sent_at).label("first_at"),
            func.max(sent_at).label("last_at"),
            func.max(by_page).label("last_page_at"),
            func.min(by_contact).label("first_contact_at"),
            func.max(by_contact).label("last_contact_at"),
            func.count(case((~is_from_page, 1))).label("from_contact"),
            func.count(case((is_from_page, 1))).label("from_page"),
        )
        .where(messages.c.conversation_id.in_(ids), messages.c.is_readable.is_(true()))
        .group_by(messages.c.conversation_id)
    )


def _first(conversation_id: ColumnElement[str], *where: ColumnElement[bool]) -> Any:  # noqa: ANN401 - a subquery
    """When the first of a conversation's messages was sent that are so."""
    of_conversation = and_(messages.c.conversation_id == conversation_id, messages.c.is_readable.is_(true()))
    return select(func.min(messages.c.sent_at)).where(of_conversation, *where).scalar_subquery()


def _facts(row: Row[Any]) -> dict[str, Any]:
    is_gone = row.conversation_status == "gone"
    return {
        "conversation_id": row.id,
        "page_id": row.page_id,
        "sender_id": row.sender_id,
        "listed_at": row.last_message_time or NO_TIME,
        "first_message_at": row.first_at,
        "last_message_at": row.last_at,
        "last_contact_message_at": row.last_contact_at,
        "last_sender": _last_sender(row.last_contact_at, row.last_page_at),
        "unanswered_since_at": None if is_gone else row.unanswered_since_at,
        "first_response_seconds": _first_response_seconds(row),
        "messages_from_contact": row.from_contact or 0,
        "messages_from_page": row.from_page or 0,
        "has_phone": row.has_phone,
        "has_email": row.has_email,
    }


def _last_sender(contact_at: datetime | None, page_at: datetime | None) -> str | None:
    if contact_at is not None and (page_at is None or contact_at > page_at):
        return "contact"
    return "page" if page_at is not None else None


def _first_response_seconds(row: Row[Any]) -> int | None:
    """Nobody knows how it began where older messages are missing."""
    if row.response_at is None or row.has_older_messages:
        return None
    return int((row.response_at - row.first_contact_at).total_seconds())

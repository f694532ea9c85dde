"""Rows of `contacts`: what the facts of their conversations add up to."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, Select, case, delete, func, insert, select, tuple_

from inboxsync.store.derived.facts import Contact
from inboxsync.store.tables import contacts as table
from inboxsync.store.tables import conversation_facts, messenger_conversations

_CONTACTS_A_STATEMENT = 500


def put_contacts(connection: Connection, wanted: Collection[Contact]) -> None:
    """Derive these contacts anew; forget those of whom no conversation is left."""
    in_order = sorted(wanted)
    for start in range(0, len(in_order), _CONTACTS_A_STATEMENT):
        some = in_order[start : start + _CONTACTS_A_STATEMENT]
        names = _names(connection, some)
        rows: list[dict[str, Any]] = []
        for row in connection.execute(_sums(some)):
            name = names.get((row.page_id, row.sender_id))
            values = row._asdict()
            for kind in ("has_phone", "has_email"):
                values[kind] = bool(values[kind])
            rows.append(values | {"name": name, "name_source": "participants" if name else "none"})
        connection.execute(delete(table).where(tuple_(table.c.page_id, table.c.sender_id).in_(some)))
        if rows:
            connection.execute(insert(table), rows)


def _sums(some: Sequence[Contact]) -> Select[Any]:
    facts = conversation_facts.c
    return (
        select(
            facts.page_id,
            facts.sender_id,
            func.max(facts.listed_at).label("listed_at"),
            func.min(facts.first_message_at).label("first_message_at"),
            func.max(facts.last_message_at).label("last_message_at"),
            func.max(facts.last_contact_message_at).label("last_contact_message_at"),
            func.min(facts.unanswered_since_at).label("unanswered_since_at"),
            func.count().label("conversations"),
            func.sum(facts.messages_from_contact).label("messages_from_contact"),
            func.sum(facts.messages_from_page).label("messages_from_page"),
            *(func.max(case((facts[name], 1), else_=0)).label(name) for name in ("has_phone", "has_email")),
        )
        .where(tuple_(facts.page_id, facts.sender_id).in_(some))
        .group_by(facts.page_id, facts.sender_id)
    )


def _names(connection: Connection, some: Sequence[Contact]) -> dict[Contact, str]:
    """Each contact's name, as its newest conversation that has one served it."""
    facts, conversations = conversation_facts.c, messenger_conversations.c
    rows = connection.execute(
        select(facts.page_id, facts.sender_id, conversations.sender_name)
        .join(messenger_conversations, conversations.id == facts.conversation_id)
        .where(tuple_(facts.page_id, facts.sender_id).in_(some), conversations.sender_name.is_not(None))
        .order_by(facts.listed_at, facts.conversation_id)
    )
    return {(page_id, sender_id): name for page_id, sender_id, name in rows}

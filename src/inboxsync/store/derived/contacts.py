"""Rows of `contacts`: the sums of what is known of their conversations."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete

from inboxsync.store.derived.facts import Contact, Facts
from inboxsync.store.derived.lookup import Lookup, Step
from inboxsync.store.derived.page_totals import add_to_totals, changes_of
from inboxsync.store.derived.rows import IfThere, put_rows
from inboxsync.store.search.words import terms_of
from inboxsync.store.tables import contact_words, messenger_conversations, not_by_index
from inboxsync.store.tables import contacts as table
from inboxsync.store.tables import conversation_facts as facts

_CONTACTS_A_STATEMENT: Final = 500
# Whose a conversation is, it says itself: its facts may be a pass behind.
_OF_CONVERSATION: Final = ("page_id", "sender_id", "sender_name", "has_older_messages")
_FACTS_OF: Final = Lookup(
    keys=(("page_id", "text"), ("sender_id", "text")),
    steps=(
        # Not by an index on the Page: see `not_by_index`.
        Step("messenger_conversations", "c", "c.sender_id = k.sender_id AND c.page_id || '' = k.page_id"),
        Step("conversation_facts", "f", "f.conversation_id = c.id"),
    ),
    columns=", ".join(f"{'c' if name in _OF_CONVERSATION else 'f'}.{name}" for name in Facts._fields),
    types=tuple(
        (name, (messenger_conversations if name in _OF_CONVERSATION else facts).c[name].type)
        for name in Facts._fields
    ),
)
_STORED: Final = Lookup(
    keys=(("page_id", "text"), ("sender_id", "text")),
    steps=(Step("contacts", "t", "t.sender_id = k.sender_id AND t.page_id || '' = k.page_id"),),
    columns="t.page_id, t.sender_id, t.name_terms",
)
_DELETE: Final = delete(table).where(
    not_by_index(table.c.page_id) == bindparam("of_page"), table.c.sender_id == bindparam("contact")
)

_DELETE_WORD: Final = delete(contact_words).where(
    contact_words.c.page_id == bindparam("of_page"),
    contact_words.c.word == bindparam("of_word"),
    contact_words.c.sender_id == bindparam("contact"),
)


def put_contacts(connection: Connection, wanted: Collection[Contact]) -> None:
    """Derive these contacts again; remove those who have no conversation any more."""
    in_order = sorted(wanted)
    for start in range(0, len(in_order), _CONTACTS_A_STATEMENT):
        some = in_order[start : start + _CONTACTS_A_STATEMENT]
        before = {(row.page_id, row.sender_id): row.name_terms for row in _STORED.rows(connection, some)}
        rows = sum_contacts(map(Facts._make, _FACTS_OF.rows(connection, some)))
        terms = {contact: terms_of(row["name"]) or None for contact, row in rows.items()}
        stored = [_stored(row, terms[contact]) for contact, row in rows.items()]
        put_rows(connection, table, stored, if_there=IfThere.REPLACE)
        gone = [
            {"of_page": page, "contact": contact} for page, contact in some if (page, contact) not in rows
        ]
        if gone:
            connection.execute(_DELETE, gone)
        _put_words(connection, before, terms)
        added, removed = rows.keys() - before.keys(), before.keys() - rows.keys()
        changes = changes_of((page for page, _ in added), (page for page, _ in removed))
        add_to_totals(connection, "contacts", changes)


def _stored(row: dict[str, Any], terms: str | None) -> dict[str, Any]:
    """With the columns that only lists need: they are ordered by them."""
    return row | {"name_terms": terms, "messages": row["messages_from_contact"] + row["messages_from_page"]}


def _put_words(
    connection: Connection, before: Mapping[Contact, str | None], terms: Mapping[Contact, str | None]
) -> None:
    """Store the words of these contacts' names instead of those they had before."""
    had, have = _words(before), _words(terms)
    if left := [{"of_page": page, "of_word": word, "contact": contact} for page, word, contact in had - have]:
        connection.execute(_DELETE_WORD, left)
    new = [
        {"page_id": page, "word": word, "sender_id": contact} for page, word, contact in sorted(have - had)
    ]
    put_rows(connection, contact_words, new, if_there=IfThere.KEEP)


def _words(terms: Mapping[Contact, str | None]) -> set[tuple[str, str, str]]:
    return {
        (page_id, word, sender_id)
        for (page_id, sender_id), each in terms.items()
        for word in (each or "").split()
    }


def sum_contacts(facts: Iterable[Facts]) -> dict[Contact, dict[str, Any]]:
    """The rows of `contacts` that these facts of all their conversations make."""
    of_contact: dict[Contact, list[Facts]] = {}
    for each in facts:
        if each.sender_id is not None:
            of_contact.setdefault((each.page_id, each.sender_id), []).append(each)
    return {contact: _sum(contact, conversations) for contact, conversations in of_contact.items()}


def _sum(contact: Contact, conversations: Sequence[Facts]) -> dict[str, Any]:
    page_id, sender_id = contact
    # The name comes from the newest conversation that has one.
    in_order = sorted(conversations, key=lambda each: (each.listed_at, each.conversation_id), reverse=True)
    name = next((each.sender_name for each in in_order if each.sender_name is not None), None)
    return {
        "page_id": page_id,
        "sender_id": sender_id,
        "name": name,
        "name_source": "participants" if name else "none",
        "listed_at": in_order[0].listed_at,
        "first_message_at": _earliest(each.first_message_at for each in conversations),
        "last_message_at": _latest(each.last_message_at for each in conversations),
        "last_contact_message_at": _latest(each.last_contact_message_at for each in conversations),
        "unanswered_since_at": _earliest(each.unanswered_since_at for each in conversations),
        "conversations": len(conversations),
        "messages_from_contact": sum(each.messages_from_contact for each in conversations),
        "messages_from_page": sum(each.messages_from_page for each in conversations),
        "has_phone": any(each.has_phone for each in conversations),
        "has_email": any(each.has_email for each in conversations),
        "has_older_messages": any(each.has_older_messages for each in conversations),
    }


def _earliest(times: Iterable[datetime | None]) -> datetime | None:
    return min((each for each in times if each is not None), default=None)


def _latest(times: Iterable[datetime | None]) -> datetime | None:
    return max((each for each in times if each is not None), default=None)

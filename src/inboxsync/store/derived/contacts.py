"""Rows of `contacts`: the sums of what is known of their conversations."""

from collections.abc import Collection, Iterable
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete

from inboxsync.store.derived.facts import Contact
from inboxsync.store.derived.lookup import Lookup
from inboxsync.store.derived.rows import IfThere, put_rows
from inboxsync.store.tables import contacts as table
from inboxsync.store.tables import conversation_facts as facts

_CONTACTS_A_STATEMENT: Final = 500
_TIMES: Final = (
    "listed_at",
    "first_message_at",
    "last_message_at",
    "last_contact_message_at",
    "unanswered_since_at",
)
_COLUMNS: Final = (
    *("page_id", "sender_id", "conversation_id", *_TIMES),
    *("messages_from_contact", "messages_from_page", "has_phone", "has_email"),
)
_NAME: Final = (
    "(SELECT c.sender_name FROM messenger_conversations AS c WHERE c.id = t.conversation_id) AS name"
)
_CONVERSATIONS_OF: Final = Lookup(
    table="conversation_facts",
    keys=(("page_id", "text"), ("sender_id", "text")),
    where="t.page_id = k.page_id AND t.sender_id = k.sender_id",
    columns=f"{', '.join(f't.{name}' for name in _COLUMNS)}, {_NAME}",
    types=tuple((name, facts.c[name].type) for name in (*_TIMES, "has_phone", "has_email")),
)
_DELETE: Final = delete(table).where(
    table.c.page_id == bindparam("of_page"), table.c.sender_id == bindparam("contact")
)


def put_contacts(connection: Connection, wanted: Collection[Contact]) -> None:
    """Derive these contacts again; remove those who have no conversation any more."""
    in_order = sorted(wanted)
    for start in range(0, len(in_order), _CONTACTS_A_STATEMENT):
        some = in_order[start : start + _CONTACTS_A_STATEMENT]
        conversations: dict[Contact, list[Row[Any]]] = {}
        for row in _CONVERSATIONS_OF.rows(connection, some):
            conversations.setdefault((row.page_id, row.sender_id), []).append(row)
        rows = [_contact(contact, conversations[contact]) for contact in some if contact in conversations]
        gone = [contact for contact in some if contact not in conversations]
        put_rows(connection, table, rows, if_there=IfThere.REPLACE)
        if gone:
            connection.execute(_DELETE, [{"of_page": page, "contact": contact} for page, contact in gone])


def _contact(contact: Contact, conversations: list[Row[Any]]) -> dict[str, Any]:
    page_id, sender_id = contact
    # The name that the newest conversation with a name has.
    in_order = sorted(conversations, key=lambda row: (row.listed_at, row.conversation_id))
    name = next((row.name for row in reversed(in_order) if row.name is not None), None)
    return {
        "page_id": page_id,
        "sender_id": sender_id,
        "name": name,
        "name_source": "participants" if name else "none",
        "listed_at": max(row.listed_at for row in conversations),
        "first_message_at": _least(row.first_message_at for row in conversations),
        "last_message_at": _greatest(row.last_message_at for row in conversations),
        "last_contact_message_at": _greatest(row.last_contact_message_at for row in conversations),
        "unanswered_since_at": _least(row.unanswered_since_at for row in conversations),
        "conversations": len(conversations),
        "messages_from_contact": sum(row.messages_from_contact for row in conversations),
        "messages_from_page": sum(row.messages_from_page for row in conversations),
        "has_phone": any(row.has_phone for row in conversations),
        "has_email": any(row.has_email for row in conversations),
    }


def _least(times: Iterable[Any]) -> Any:  # noqa: ANN401 - a time or None, as it came
    return min((each for each in times if each is not None), default=None)


def _greatest(times: Iterable[Any]) -> Any:  # noqa: ANN401 - likewise
    return max((each for each in times if each is not None), default=None)

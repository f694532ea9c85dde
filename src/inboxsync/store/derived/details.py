"""Rows of `contact_details`."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, tuple_

from inboxsync.store.connection.statements import insert_into
from inboxsync.store.tables import contact_details as table

_KEYS_A_STATEMENT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """A phone number (E.164) or an e-mail address, and the message in which a contact wrote it."""

    page_id: str
    conversation_id: str
    message_id: str
    sent_at: datetime | None
    kind: str
    value: str


def put_details(
    connection: Connection, details: Sequence[Detail], *, instead_of: Collection[tuple[str, str]]
) -> None:
    """Keep these, instead of what was found in these messages (our conversation id, Graph's id) before."""
    keys = sorted(set(instead_of))
    for start in range(0, len(keys), _KEYS_A_STATEMENT):
        some = keys[start : start + _KEYS_A_STATEMENT]
        key = tuple_(table.c.conversation_id, table.c.message_id)
        connection.execute(delete(table).where(key.in_(some)))
    if details:
        names = Detail.__dataclass_fields__
        # What is looked through anew may have been met before its own turn came.
        statement = insert_into(connection, table).on_conflict_do_nothing()
        connection.execute(statement, [{name: getattr(each, name) for name in names} for each in details])

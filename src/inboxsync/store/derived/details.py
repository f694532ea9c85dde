"""Rows of `contact_details`."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, delete

from inboxsync.store.derived.rows import IfThere, put_rows
from inboxsync.store.tables import contact_details as table

_DELETE: Final = delete(table).where(
    table.c.conversation_id == bindparam("row_id"), table.c.message_id == bindparam("graph_id")
)


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
    """Store these, instead of what was found in these messages (our conversation id, Graph's id) before."""
    replaced = [{"row_id": row_id, "graph_id": graph_id} for row_id, graph_id in sorted(set(instead_of))]
    if replaced:
        connection.execute(_DELETE, replaced)
    # A message that is searched again may have been searched before its own turn came.
    put_rows(connection, table, [asdict(each) for each in details], if_there=IfThere.KEEP)

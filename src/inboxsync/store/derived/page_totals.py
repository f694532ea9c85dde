"""Rows of `page_totals`: how much is stored of each Page."""

from collections import Counter
from collections.abc import Iterable
from typing import Final, Literal

from sqlalchemy import Connection, bindparam, delete

from inboxsync.store.derived.rows import IfThere, put_rows
from inboxsync.store.tables import page_totals as table

_WHAT: Final = ("conversations", "contacts", "messages")
_EMPTY: Final = delete(table).where(
    table.c.page_id == bindparam("of_page"), *(table.c[name] == 0 for name in _WHAT)
)


def add_to_totals(
    connection: Connection, what: Literal["conversations", "contacts", "messages"], changes: Counter[str]
) -> None:
    """Add to what is counted of each Page (our id); a change may be negative."""
    rows = [
        {"page_id": page_id, **dict.fromkeys(_WHAT, 0), what: change}
        for page_id, change in sorted(changes.items())
        if change
    ]
    put_rows(connection, table, rows, if_there=IfThere.ADD)
    if less := [{"of_page": row["page_id"]} for row in rows if changes[str(row["page_id"])] < 0]:
        connection.execute(_EMPTY, less)


def changes_of(added: Iterable[str], removed: Iterable[str]) -> Counter[str]:
    """What to add for each Page: once for each time it stands in `added`, less those in `removed`."""
    changes = Counter(added)
    changes.subtract(removed)
    return changes

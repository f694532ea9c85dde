"""Phone numbers and e-mail addresses that contacts wrote, conversation by conversation."""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Final, NamedTuple

from sqlalchemy import Connection, select

from inboxsync.store.tables import contact_details as table

_NO_TIME: Final = datetime.min.replace(tzinfo=UTC)


class Detail(NamedTuple):
    """`kind` is phone or email; `message_id` is Graph's id of a message that says so, the evidence."""

    kind: str
    value: str
    message_id: str
    sent_at: datetime | None


def details_of(connection: Connection, row_ids: Collection[str]) -> dict[str, list[Detail]]:
    """What was found in each of these conversations (our ids)."""
    rows = connection.execute(
        select(
            table.c.conversation_id, table.c.kind, table.c.value, table.c.message_id, table.c.sent_at
        ).where(table.c.conversation_id.in_(list(row_ids)))
    )
    found: dict[str, list[Detail]] = {}
    for row_id, *detail in rows:
        found.setdefault(row_id, []).append(Detail._make(detail))
    return found


def newest_of_each(details: Iterable[Detail]) -> tuple[Detail, ...]:
    """Each value once, in their order, with the newest message that says so."""
    newest: dict[tuple[str, str], Detail] = {}
    for detail in sorted(details, key=lambda each: (each.sent_at or _NO_TIME, each.message_id)):
        newest[detail.kind, detail.value] = detail
    return tuple(detail for _, detail in sorted(newest.items()))

"""Rows of `conversation_facts`: what follows from the stored messages of a conversation."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    and_,
    bindparam,
    case,
    delete,
    func,
    or_,
    select,
    true,
)

from inboxsync.store.connection.statements import Among, is_postgresql, select_among
from inboxsync.store.connection.types import NO_TIME
from inboxsync.store.derived.page_totals import add_to_totals, changes_of
from inboxsync.store.derived.rows import IfThere, put_rows
from inboxsync.store.tables import contact_details, messages, messenger_conversations
from inboxsync.store.tables import conversation_facts as table

# A contact: (our Page id, the contact's id).
Contact = tuple[str, str]


class Facts(NamedTuple):
    """The columns of `conversation_facts`, and two of the conversation itself that its contact depends on."""

    conversation_id: str
    page_id: str
    sender_id: str | None
    listed_at: datetime
    first_message_at: datetime | None
    last_message_at: datetime | None
    last_contact_message_at: datetime | None
    last_sender: str | None
    unanswered_since_at: datetime | None
    first_response_seconds: int | None
    messages_from_contact: int
    messages_from_page: int
    has_phone: bool
    has_email: bool
    sender_name: str | None
    has_older_messages: bool


_STORED: Final = tuple(table.c.keys())


def facts_of(connection: Connection, conversation_ids: Collection[str]) -> list[Facts]:
    """What follows from the messages of these conversations (our ids) now; of deleted ones nothing."""
    summed = _summed_on_postgresql if is_postgresql(connection) else _summed_on_sqlite
    return [_facts(row) for row in select_among(connection, summed, conversation_ids)]


def put_facts(connection: Connection, conversation_ids: Collection[str]) -> set[Contact]:
    """Derive the facts of these conversations (our ids) again; remove those of deleted conversations.

    Returns the contacts whose own rows follow from that.
    """
    ids = sorted(conversation_ids)
    before = {row_id: (page_id, sender_id) for row_id, page_id, sender_id in _before(connection, ids)}
    facts = facts_of(connection, ids)
    rows = [{name: getattr(each, name) for name in _STORED} for each in facts]
    put_rows(connection, table, rows, if_there=IfThere.REPLACE)
    now = {each.conversation_id: (each.page_id, each.sender_id) for each in facts}
    deleted = [{"row_id": row_id} for row_id in before if row_id not in now]
    if deleted:
        connection.execute(delete(table).where(table.c.conversation_id == bindparam("row_id")), deleted)
    changes = changes_of(
        (page_id for row_id, (page_id, _) in now.items() if row_id not in before),
        (page_id for row_id, (page_id, _) in before.items() if row_id not in now),
    )
    add_to_totals(connection, "conversations", changes)
    return {
        (page_id, sender_id)
        for page_id, sender_id in (*before.values(), *now.values())
        if sender_id is not None
    }


def _before(connection: Connection, ids: Collection[str]) -> Iterable[Sequence[Any]]:
    return select_among(connection, _contacts_of, ids)


def _contacts_of(among: Among) -> Select[Any]:
    return select(table.c.conversation_id, table.c.page_id, table.c.sender_id).where(
        among(table.c.conversation_id)
    )


def _summed_on_sqlite(among: Among) -> Select[Any]:
    row_id = messages.c.conversation_id
    return _summed(among, _sums().where(among(row_id)).group_by(row_id).subquery("sums"))


def _summed_on_postgresql(among: Among) -> Select[Any]:
    # LATERAL: one look into the index for each conversation, whatever the planner thinks of the tables.
    row_id = messenger_conversations.c.id
    own = _sums().where(messages.c.conversation_id == row_id).group_by(messages.c.conversation_id)
    return _summed(among, own.lateral("sums"))


def _summed(among: Among, sums: FromClause) -> Select[Any]:
    """The conversations, and the sums of their messages."""
    conversation = messenger_conversations.c
    # Counted, for PostgreSQL may answer EXISTS by hashing the whole table.
    details = select(func.count()).where(contact_details.c.conversation_id == conversation.id)
    # Within one second the order is not known: a message in the same second as the Page's is answered.
    unanswered = _first(
        conversation.id,
        ~messages.c.is_from_page,
        or_(sums.c.last_page_at.is_(None), messages.c.sent_at > sums.c.last_page_at),
    )
    response = _first(conversation.id, messages.c.is_from_page, messages.c.sent_at >= sums.c.first_contact_at)
    return (
        select(
            conversation.id,
            conversation.page_id,
            conversation.sender_id,
            conversation.sender_name,
            conversation.last_message_time,
            conversation.conversation_status,
            conversation.has_older_messages,
            *(column for column in sums.c if column.name != "conversation_id"),
            unanswered.label("unanswered_since_at"),
            response.label("response_at"),
            *(
                (details.where(contact_details.c.kind == kind).scalar_subquery() > 0).label(f"has_{kind}")
                for kind in ("phone", "email")
            ),
        )
        .select_from(messenger_conversations.outerjoin(sums, sums.c.conversation_id == conversation.id))
        .where(among(conversation.id))
    )


def _sums() -> Select[Any]:
    sent_at, is_from_page = messages.c.sent_at, messages.c.is_from_page
    by_page, by_contact = case((is_from_page, sent_at)), case((~is_from_page, sent_at))
    return select(
        messages.c.conversation_id,
        func.min(sent_at).label("first_at"),
        func.max(sent_at).label("last_at"),
        func.max(by_page).label("last_page_at"),
        func.min(by_contact).label("first_contact_at"),
        func.max(by_contact).label("last_contact_at"),
        func.count(case((~is_from_page, 1))).label("from_contact"),
        func.count(case((is_from_page, 1))).label("from_page"),
    ).where(messages.c.is_readable.is_(true()))


def _first(conversation_id: ColumnElement[str], *where: ColumnElement[bool]) -> Any:  # noqa: ANN401 - a subquery
    """When the first message of a conversation was sent for which this holds."""
    of_conversation = and_(messages.c.conversation_id == conversation_id, messages.c.is_readable.is_(true()))
    return select(func.min(messages.c.sent_at)).where(of_conversation, *where).scalar_subquery()


def _facts(row: Any) -> Facts:  # noqa: ANN401 - a row
    is_gone = row.conversation_status == "gone"
    return Facts(
        conversation_id=row.id,
        page_id=row.page_id,
        sender_id=row.sender_id,
        listed_at=row.last_message_time or NO_TIME,
        first_message_at=row.first_at,
        last_message_at=row.last_at,
        last_contact_message_at=row.last_contact_at,
        last_sender=_last_sender(row.last_contact_at, row.last_page_at),
        unanswered_since_at=None if is_gone else row.unanswered_since_at,
        first_response_seconds=_first_response_seconds(row),
        messages_from_contact=row.from_contact or 0,
        messages_from_page=row.from_page or 0,
        has_phone=row.has_phone,
        has_email=row.has_email,
        sender_name=row.sender_name,
        has_older_messages=row.has_older_messages,
    )


def _last_sender(contact_at: datetime | None, page_at: datetime | None) -> str | None:
    if contact_at is not None and (page_at is None or contact_at > page_at):
        return "contact"
    return "page" if page_at is not None else None


def _first_response_seconds(row: Any) -> int | None:  # noqa: ANN401 - a row
    """None where older messages are missing: then it is not known how the conversation began."""
    if row.response_at is None or row.has_older_messages:
        return None
    return int((row.response_at - row.first_contact_at).total_seconds())

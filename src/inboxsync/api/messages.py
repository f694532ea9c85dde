"""`/api/v1/messages/search`: full-text search."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from inboxsync.api.auth import requires
from inboxsync.api.problems import CursorInvalid
from inboxsync.api.schemas import (
    CursorText,
    Limit,
    Listed,
    OfPage,
    Shape,
    Since,
    as_json,
    decode_cursor,
    encode_cursor,
    example,
    filter_mark,
)
from inboxsync.api.service import ServiceDependency, page_id_of
from inboxsync.model import Scope
from inboxsync.store.search import FoundMessage, Order, SearchKey, Total, parse_query, search_messages
from inboxsync.store.search.query import LONGEST_QUERY

router = APIRouter(prefix="/api/v1/messages", tags=["messages"])

# The largest number that both databases store.
_LARGEST = 2**62
_PARTS = {Order.NEWEST: 1, Order.RANK: 3}
_FOUND = {
    "messageId": "m_aBcDeF",
    "conversationId": "01978b2e-7d43-7ff6-ac9a-6d5e4f3a2b1c",
    "pageId": "01978b2e-4a10-7cc3-9f6d-3a2b1c0d9e8f",
    "folder": "inbox",
    "contactId": "7654321098765432",
    "contactName": "Ann Example",
    "sentAt": "2026-06-01T11:58:03Z",
    "isFromPage": False,
    "text": "Are you open on Sunday?",
    "highlights": [[16, 22]],
}


class FoundShape(Shape):
    """A message that was found."""

    model_config = example(**_FOUND)

    message_id: str
    conversation_id: str = Field(description="Ours.")
    page_id: str
    folder: str
    contact_id: str | None
    contact_name: str | None
    sent_at: datetime | None
    is_from_page: bool
    text: str
    highlights: list[tuple[int, int]] = Field(
        description="Where in the text the words are: from this character to that one, which is excluded."
    )


class FoundListed(Listed[FoundShape]):
    """Messages that were found, in the order that was asked for."""

    total: int = Field(description="How many messages were found in all; at most 1,000 are counted.")
    is_total_exact: bool = Field(description="False if more than `total` were found.")


@router.get("/search", summary="Search messages", **requires(Scope.READ, 404, 409))
@as_json
def search(
    *,
    service: ServiceDependency,
    q: Annotated[
        str,
        Query(
            min_length=1,
            max_length=LONGEST_QUERY,
            description='Words, a "phrase", or the beginning of a word and an asterisk; a message needs all. '
            "`a OR b` needs one of them; `-word` must not be there.",
            examples=['open "on sunday" deliver*'],
            json_schema_extra={"format": "search"},
        ),
    ],
    page: OfPage = None,
    since: Since = None,
    order: Annotated[
        Order, Query(description="newest: the newest first; rank: the best match first.")
    ] = Order.NEWEST,
    cursor: CursorText = None,
    limit: Limit = 50,
) -> FoundListed:
    """In the text of messages. Case and accents make no difference."""
    query = parse_query(q)
    with service.engine.store.read() as connection:
        page_id = page_id_of(connection, page)
        mark = filter_mark(q=q, page=page_id, since=since)
        after = _key(order, cursor, mark) if cursor else None
        found = search_messages(
            connection,
            query,
            page_id=page_id,
            since=since,
            order=order,
            after=after,
            limit=limit,
            with_total=True,
        )
    more = encode_cursor(_kind(order), *map(str, found.next), mark=mark) if found.next else None
    total = found.total or Total(0, is_exact=True)
    return FoundListed(
        items=[_shape(each) for each in found.messages],
        next_cursor=more,
        total=total.count,
        is_total_exact=total.is_exact,
    )


def _kind(order: Order) -> str:
    return f"search {order.value}"


def _key(order: Order, cursor: str, mark: str) -> SearchKey:
    parts = decode_cursor(_kind(order), cursor, parts=_PARTS[order], mark=mark)
    try:
        key = tuple(int(part) for part in parts)
    except ValueError:
        raise CursorInvalid("This is not one of our cursors.") from None
    if any(abs(number) > _LARGEST for number in key):
        raise CursorInvalid("This is not one of our cursors.")
    return key


def _shape(found: FoundMessage) -> FoundShape:
    return FoundShape(
        message_id=found.message_id,
        conversation_id=found.conversation_id,
        page_id=found.page_id,
        folder=found.folder,
        contact_id=found.contact_id,
        contact_name=found.contact_name,
        sent_at=found.sent_at,
        is_from_page=found.is_from_page,
        text=found.text,
        highlights=list(found.highlights),
    )

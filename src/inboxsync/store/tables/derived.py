"""What follows from the inbox: none of it comes from Meta, and all of it can be derived again.

Triggers write `derive_queue` at every change of the inbox (see `triggers`). Only the derive pass
(`inboxsync.sync.derive`) writes the other tables. Nothing here has a foreign key. A deleted message or
conversation is noted, and the next pass removes what was derived from it; a Page's deletion removes what was
derived from the Page at once.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
    true,
)

from inboxsync.store.connection.types import ID, UtcDateTime
from inboxsync.store.tables.base import metadata

# What a copy of the database leaves out: the target's own triggers note everything, and a pass makes it.
DERIVED = {"is_derived": True}
# SQLite numbers a row by itself only where its key is spelt INTEGER.
_NUMBER = BigInteger().with_variant(Integer, "sqlite")


def _page_id() -> Column[Any]:
    return Column("page_id", ID, nullable=False, comment="the Page")


derive_queue = Table(
    "derive_queue",
    metadata,
    Column("seq", _NUMBER, primary_key=True, autoincrement=True, comment="in the order of the changes"),
    Column("conversation_id", ID, nullable=False, comment="our id of a conversation that has changed"),
    Column("message_id", ID, comment="Graph's id of a message that was changed or deleted; NULL: others"),
    Column("sent_at", UtcDateTime, comment="when that message was said to be sent before the change"),
    comment="Changes that nothing has been derived from yet; written by triggers",
    info=DERIVED,
)

message_index = Table(
    "message_index",
    metadata,
    Column(
        "id",
        _NUMBER,
        primary_key=True,
        autoincrement=False,
        comment="the second it was sent in, times 2^31, plus a number that makes it unique; newest last",
    ),
    _page_id(),
    Column("conversation_id", ID, nullable=False, comment="our id of the conversation"),
    Column("message_id", ID, nullable=False, comment="Graph's id of the message"),
    Column("is_from_page", Boolean, nullable=False, comment="sent by the Page, not to it"),
    Column("terms", Text, nullable=False, comment="its words, folded, a space before and behind each"),
    comment="Messages in the order of their time, with the words that the search finds them by",
    info=DERIVED,
)

conversation_facts = Table(
    "conversation_facts",
    metadata,
    Column("conversation_id", ID, primary_key=True, comment="our id of the conversation"),
    _page_id(),
    Column("sender_id", ID, comment="the contact, as the conversation has it"),
    Column("listed_at", UtcDateTime, nullable=False, comment="its last_message_time; 1970 where it has none"),
    Column("first_message_at", UtcDateTime, comment="when the oldest stored message was sent"),
    Column("last_message_at", UtcDateTime, comment="when the newest stored message was sent"),
    Column("last_contact_message_at", UtcDateTime, comment="when the contact last wrote"),
    Column("last_sender", Text, comment="who wrote last: contact or page; NULL: nobody"),
    Column(
        "unanswered_since_at",
        UtcDateTime,
        comment="the contact's first message behind the Page's last; NULL: answered, or gone",
    ),
    Column(
        "first_response_seconds",
        Integer,
        comment="the contact's first message to the Page's next; NULL: none, or older ones are missing",
    ),
    Column("messages_from_contact", Integer, nullable=False, comment="stored messages from the contact"),
    Column("messages_from_page", Integer, nullable=False, comment="stored messages from the Page"),
    Column("has_phone", Boolean, nullable=False, comment="the contact wrote a phone number"),
    Column("has_email", Boolean, nullable=False, comment="the contact wrote an e-mail address"),
    comment="What the stored messages of a conversation tell",
    info=DERIVED,
)
for _name, _condition in (
    ("unanswered", conversation_facts.c.unanswered_since_at.is_not(None)),
    ("with_phone", conversation_facts.c.has_phone.is_(true())),
    ("with_email", conversation_facts.c.has_email.is_(true())),
):
    Index(
        f"ix_conversation_facts_{_name}",
        conversation_facts.c.page_id,
        conversation_facts.c.listed_at,
        sqlite_where=_condition,
        postgresql_where=_condition,
    )

contacts = Table(
    "contacts",
    metadata,
    _page_id(),
    Column("sender_id", ID, nullable=False, comment="the contact's id, scoped to the Page or app"),
    Column("name", Text, comment="as served; NULL when withheld, never a placeholder"),
    Column("name_source", Text, nullable=False, comment="where the name came from: participants or none"),
    Column("name_terms", ID, comment="the words of the name, folded, a space before and behind each"),
    Column("listed_at", UtcDateTime, nullable=False, comment="of its conversations, the newest's"),
    Column("first_message_at", UtcDateTime, comment="when the oldest stored message was sent"),
    Column("last_message_at", UtcDateTime, comment="when the newest stored message was sent"),
    Column(
        "last_contact_message_at",
        UtcDateTime,
        comment="when the contact last wrote; 24 hours later the Page may no longer reply freely",
    ),
    Column(
        "unanswered_since_at",
        UtcDateTime,
        comment="since when a person waits for an answer; NULL: no one does",
    ),
    Column("conversations", Integer, nullable=False, comment="how many it has with this Page"),
    Column("messages_from_contact", Integer, nullable=False, comment="stored messages from the contact"),
    Column("messages_from_page", Integer, nullable=False, comment="stored messages from the Page"),
    Column(
        "messages", Integer, nullable=False, server_default=text("0"), comment="both together, to sort by"
    ),
    Column("has_phone", Boolean, nullable=False, comment="it wrote a phone number"),
    Column("has_email", Boolean, nullable=False, comment="it wrote an e-mail address"),
    Column(
        "has_older_messages", Boolean, nullable=False, comment="the source has older messages than are stored"
    ),
    PrimaryKeyConstraint("sender_id", "page_id"),  # see `not_by_index`
    Index(None, "page_id", "listed_at"),
    Index(None, "page_id", "name_terms", "sender_id"),
    Index(None, "page_id", "messages", "sender_id"),
    comment="The people of a Page's conversations",
    info=DERIVED,
)

for _name, _condition in (
    ("unanswered", contacts.c.unanswered_since_at.is_not(None)),
    ("with_phone", contacts.c.has_phone.is_(true())),
    ("with_email", contacts.c.has_email.is_(true())),
):
    Index(
        f"ix_contacts_{_name}",
        contacts.c.page_id,
        contacts.c.listed_at,
        sqlite_where=_condition,
        postgresql_where=_condition,
    )

contact_words = Table(
    "contact_words",
    metadata,
    _page_id(),
    Column("word", ID, nullable=False, comment="a word of the contact's name, folded"),
    Column("sender_id", ID, nullable=False, comment="the contact's id"),
    PrimaryKeyConstraint("page_id", "word", "sender_id"),
    comment="The words of contacts' names, to find people by the beginning of any of them",
    info=DERIVED,
)

contact_details = Table(
    "contact_details",
    metadata,
    Column("conversation_id", ID, nullable=False, comment="our id of the conversation"),
    Column("message_id", ID, nullable=False, comment="Graph's id of the message that says so: the evidence"),
    Column("kind", Text, nullable=False, comment="phone or email"),
    Column("value", Text, nullable=False, comment="a phone number as of E.164, or an address in lower case"),
    _page_id(),
    Column("sent_at", UtcDateTime, comment="when that message was sent"),
    PrimaryKeyConstraint("conversation_id", "message_id", "kind", "value"),
    comment="Phone numbers and e-mail addresses that contacts wrote, with the message that says so",
    info=DERIVED,
)

detail_region = Table(
    "detail_region",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False, comment="1: there is one row at most"),
    Column(
        "region", Text, nullable=False, comment="where phone numbers without a country's were taken to be"
    ),
    Column(
        "again_after",
        ID,
        comment="our id of the conversation after which all are searched again; NULL: none are",
    ),
    comment="How contact details are looked for; a row once a region has been named",
    info=DERIVED,
)

search_folding = Table(
    "search_folding",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False, comment="1: there is one row at most"),
    Column("version", Integer, nullable=False, comment="which rules words were folded by"),
    Column(
        "again_after",
        ID,
        comment="our id of the conversation after which all are folded again; NULL: none are",
    ),
    comment="How words were folded for the search; a row since the first derive pass",
    info=DERIVED,
)

page_activity = Table(
    "page_activity",
    metadata,
    _page_id(),
    Column(
        "begins_at", UtcDateTime, nullable=False, comment="when the quarter begins; 1970 for no known time"
    ),
    Column("from_contacts", Integer, nullable=False, comment="stored messages to the Page in it"),
    Column("from_page", Integer, nullable=False, comment="stored messages of the Page in it"),
    PrimaryKeyConstraint("page_id", "begins_at"),
    comment="Messages in each quarter of an hour, for totals and charts",
    info=DERIVED,
)

page_totals = Table(
    "page_totals",
    metadata,
    Column("page_id", ID, primary_key=True, comment="the Page"),
    Column("conversations", Integer, nullable=False, comment="stored conversations of the Page"),
    Column("contacts", Integer, nullable=False, comment="people of these conversations"),
    Column("messages", Integer, nullable=False, comment="stored messages of the Page that can be read"),
    comment="How much is stored of each Page, to list and sort many of them at once",
    info=DERIVED,
)

"""What follows from the inbox: a queue of changes, and what is derived from them.

Nothing is derived here: `messages` may hold ten million rows. All conversations are noted as changed, and the
next pass does the rest, a batch at a time.

Revision ID: 0004
"""

import sqlalchemy as sa
from alembic import op

from inboxsync.store.connection.types import ID, UtcDateTime

revision = "0004"
down_revision = "0003"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# What SQLAlchemy's tables do not hold: the search's table or index, and the triggers that note changes.
_SQLITE = (
    (
        "CREATE VIRTUAL TABLE message_search USING fts5(terms, content='', detail='none', "
        "columnsize=0, tokenize=\"ascii tokenchars '@-_'\")"
    ),
    (
        "CREATE TRIGGER derive_messages_insert AFTER INSERT ON messages FOR EACH ROW\nWHEN "
        "new.conversation_id IS NOT (SELECT conversation_id FROM derive_queue ORDER BY seq DESC "
        "LIMIT 1)\nBEGIN INSERT INTO derive_queue (conversation_id) VALUES (new.conversation_id); "
        "END"
    ),
    (
        "CREATE TRIGGER derive_messages_update AFTER UPDATE OF text, sent_at, is_from_page, "
        "is_readable ON messages FOR EACH ROW\nWHEN old.text IS NOT new.text OR old.sent_at IS "
        "NOT new.sent_at OR old.is_from_page IS NOT new.is_from_page OR old.is_readable IS NOT "
        "new.is_readable\nBEGIN INSERT INTO derive_queue (conversation_id, message_id, sent_at) "
        "VALUES (old.conversation_id, old.message_id, old.sent_at); END"
    ),
    (
        "CREATE TRIGGER derive_messages_delete AFTER DELETE ON messages FOR EACH ROW\nBEGIN "
        "INSERT INTO derive_queue (conversation_id, message_id, sent_at) VALUES "
        "(old.conversation_id, old.message_id, old.sent_at); END"
    ),
    (
        "CREATE TRIGGER derive_messenger_conversations_insert AFTER INSERT ON "
        "messenger_conversations FOR EACH ROW\nBEGIN INSERT INTO derive_queue (conversation_id) "
        "VALUES (new.id); END"
    ),
    (
        "CREATE TRIGGER derive_messenger_conversations_update AFTER UPDATE OF sender_id, "
        "sender_name, last_message_time, conversation_status, has_older_messages ON "
        "messenger_conversations FOR EACH ROW\nWHEN old.sender_id IS NOT new.sender_id OR "
        "old.sender_name IS NOT new.sender_name OR old.last_message_time IS NOT "
        "new.last_message_time OR old.conversation_status IS NOT new.conversation_status OR "
        "old.has_older_messages IS NOT new.has_older_messages\nBEGIN INSERT INTO derive_queue "
        "(conversation_id) VALUES (new.id); END"
    ),
    (
        "CREATE TRIGGER derive_messenger_conversations_delete AFTER DELETE ON "
        "messenger_conversations FOR EACH ROW\nBEGIN INSERT INTO derive_queue (conversation_id) "
        "VALUES (old.id); END"
    ),
    (
        "CREATE TRIGGER derive_message_index_delete AFTER DELETE ON message_index FOR EACH ROW\n"
        "WHEN old.terms <> ''\nBEGIN INSERT INTO message_search (message_search, rowid, terms) "
        "VALUES ('delete', old.id, '@' || old.page_id || rtrim(old.terms)); END"
    ),
)
_POSTGRESQL = (
    (
        "CREATE INDEX ix_message_index_search ON message_index USING gin "
        "(array_to_tsvector(string_to_array('@' || page_id || rtrim(terms), ' ')))"
    ),
    (
        "CREATE FUNCTION derive_messages_insert() RETURNS trigger LANGUAGE plpgsql SET "
        "search_path FROM CURRENT AS $$ BEGIN INSERT INTO derive_queue (conversation_id) SELECT "
        "DISTINCT conversation_id FROM changed_new; RETURN NULL; END $$"
    ),
    (
        "CREATE TRIGGER derive_messages_insert AFTER INSERT ON messages REFERENCING NEW TABLE AS "
        "changed_new FOR EACH STATEMENT EXECUTE FUNCTION derive_messages_insert()"
    ),
    (
        "CREATE FUNCTION derive_messages_update() RETURNS trigger LANGUAGE plpgsql SET "
        "search_path FROM CURRENT AS $$ BEGIN INSERT INTO derive_queue (conversation_id, "
        "message_id, sent_at) SELECT o.conversation_id, o.message_id, o.sent_at FROM changed_old "
        "o JOIN changed_new n USING (conversation_id, message_id) WHERE o.text IS DISTINCT FROM "
        "n.text OR o.sent_at IS DISTINCT FROM n.sent_at OR o.is_from_page IS DISTINCT FROM "
        "n.is_from_page OR o.is_readable IS DISTINCT FROM n.is_readable; RETURN NULL; END $$"
    ),
    (
        "CREATE TRIGGER derive_messages_update AFTER UPDATE ON messages REFERENCING OLD TABLE AS "
        "changed_old NEW TABLE AS changed_new FOR EACH STATEMENT EXECUTE FUNCTION "
        "derive_messages_update()"
    ),
    (
        "CREATE FUNCTION derive_messages_delete() RETURNS trigger LANGUAGE plpgsql SET "
        "search_path FROM CURRENT AS $$ BEGIN INSERT INTO derive_queue (conversation_id, "
        "message_id, sent_at) SELECT o.conversation_id, o.message_id, o.sent_at FROM changed_old "
        "o; RETURN NULL; END $$"
    ),
    (
        "CREATE TRIGGER derive_messages_delete AFTER DELETE ON messages REFERENCING OLD TABLE AS "
        "changed_old FOR EACH STATEMENT EXECUTE FUNCTION derive_messages_delete()"
    ),
    (
        "CREATE FUNCTION derive_messenger_conversations_insert() RETURNS trigger LANGUAGE "
        "plpgsql SET search_path FROM CURRENT AS $$ BEGIN INSERT INTO derive_queue "
        "(conversation_id) SELECT id FROM changed_new; RETURN NULL; END $$"
    ),
    (
        "CREATE TRIGGER derive_messenger_conversations_insert AFTER INSERT ON "
        "messenger_conversations REFERENCING NEW TABLE AS changed_new FOR EACH STATEMENT EXECUTE "
        "FUNCTION derive_messenger_conversations_insert()"
    ),
    (
        "CREATE FUNCTION derive_messenger_conversations_update() RETURNS trigger LANGUAGE "
        "plpgsql SET search_path FROM CURRENT AS $$ BEGIN INSERT INTO derive_queue "
        "(conversation_id) SELECT n.id FROM changed_old o JOIN changed_new n USING (id) WHERE "
        "o.sender_id IS DISTINCT FROM n.sender_id OR o.sender_name IS DISTINCT FROM "
        "n.sender_name OR o.last_message_time IS DISTINCT FROM n.last_message_time OR "
        "o.conversation_status IS DISTINCT FROM n.conversation_status OR o.has_older_messages IS "
        "DISTINCT FROM n.has_older_messages; RETURN NULL; END $$"
    ),
    (
        "CREATE TRIGGER derive_messenger_conversations_update AFTER UPDATE ON "
        "messenger_conversations REFERENCING OLD TABLE AS changed_old NEW TABLE AS changed_new "
        "FOR EACH STATEMENT EXECUTE FUNCTION derive_messenger_conversations_update()"
    ),
    (
        "CREATE FUNCTION derive_messenger_conversations_delete() RETURNS trigger LANGUAGE "
        "plpgsql SET search_path FROM CURRENT AS $$ BEGIN INSERT INTO derive_queue "
        "(conversation_id) SELECT id FROM changed_old; RETURN NULL; END $$"
    ),
    (
        "CREATE TRIGGER derive_messenger_conversations_delete AFTER DELETE ON "
        "messenger_conversations REFERENCING OLD TABLE AS changed_old FOR EACH STATEMENT EXECUTE "
        "FUNCTION derive_messenger_conversations_delete()"
    ),
)


def upgrade() -> None:
    _create_derive_queue()
    _create_contact_details()
    _create_contacts()
    _create_conversation_facts()
    _create_message_index()
    _create_page_activity()
    _index_lists()
    for statement in _POSTGRESQL if op.get_bind().dialect.name == "postgresql" else _SQLITE:
        op.execute(statement)
    op.execute(
        "INSERT INTO derive_queue (conversation_id) SELECT id FROM messenger_conversations ORDER BY id"
    )


def _create_derive_queue() -> None:
    op.create_table(
        "derive_queue",
        sa.Column("seq", _NUMBER, autoincrement=True, nullable=False, comment="in the order of the changes"),
        sa.Column("conversation_id", ID, nullable=False, comment="our id of a conversation that has changed"),
        sa.Column(
            "message_id",
            ID,
            nullable=True,
            comment="Graph's id of a message that was changed or deleted; NULL: others",
        ),
        sa.Column(
            "sent_at",
            UtcDateTime(),
            nullable=True,
            comment="when that message was said to be sent before the change",
        ),
        sa.PrimaryKeyConstraint("seq", name="pk_derive_queue"),
        comment="Changes that nothing has been derived from yet; written by triggers",
    )


def _create_contact_details() -> None:
    op.create_table(
        "contact_details",
        sa.Column("conversation_id", ID, nullable=False, comment="our id of the conversation"),
        sa.Column(
            "message_id", ID, nullable=False, comment="Graph's id of the message that says so: the evidence"
        ),
        sa.Column("kind", sa.Text(), nullable=False, comment="phone or email"),
        sa.Column(
            "value",
            sa.Text(),
            nullable=False,
            comment="a phone number as of E.164, or an address in lower case",
        ),
        sa.Column("page_id", ID, nullable=False, comment="the Page"),
        sa.Column("sent_at", UtcDateTime(), nullable=True, comment="when that message was sent"),
        sa.ForeignKeyConstraint(
            ["page_id"], ["facebook_pages.id"], name="fk_contact_details_page_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("conversation_id", "message_id", "kind", "value", name="pk_contact_details"),
        comment="Phone numbers and e-mail addresses that contacts wrote, with the message that says so",
    )


def _create_contacts() -> None:
    op.create_table(
        "contacts",
        sa.Column("page_id", ID, nullable=False, comment="the Page"),
        sa.Column("sender_id", ID, nullable=False, comment="the contact's id, scoped to the Page or app"),
        sa.Column(
            "name", sa.Text(), nullable=True, comment="as served; NULL when withheld, never a placeholder"
        ),
        sa.Column(
            "name_source", sa.Text(), nullable=False, comment="where the name came from: participants or none"
        ),
        sa.Column("listed_at", UtcDateTime(), nullable=False, comment="of its conversations, the newest's"),
        sa.Column(
            "first_message_at",
            UtcDateTime(),
            nullable=True,
            comment="when the oldest stored message was sent",
        ),
        sa.Column(
            "last_message_at", UtcDateTime(), nullable=True, comment="when the newest stored message was sent"
        ),
        sa.Column(
            "last_contact_message_at",
            UtcDateTime(),
            nullable=True,
            comment="when the contact last wrote; 24 hours later the Page may no longer reply freely",
        ),
        sa.Column(
            "unanswered_since_at",
            UtcDateTime(),
            nullable=True,
            comment="since when an answer is owed; NULL: none is",
        ),
        sa.Column("conversations", sa.Integer(), nullable=False, comment="how many it has with this Page"),
        sa.Column(
            "messages_from_contact", sa.Integer(), nullable=False, comment="stored messages from the contact"
        ),
        sa.Column(
            "messages_from_page", sa.Integer(), nullable=False, comment="stored messages from the Page"
        ),
        sa.Column("has_phone", sa.Boolean(), nullable=False, comment="it wrote a phone number"),
        sa.Column("has_email", sa.Boolean(), nullable=False, comment="it wrote an e-mail address"),
        sa.ForeignKeyConstraint(
            ["page_id"], ["facebook_pages.id"], name="fk_contacts_page_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("page_id", "sender_id", name="pk_contacts"),
        comment="The people of a Page's conversations",
    )
    op.create_index("ix_contacts_page_id_listed_at", "contacts", ["page_id", "listed_at"], unique=False)


def _create_conversation_facts() -> None:
    op.create_table(
        "conversation_facts",
        sa.Column("conversation_id", ID, nullable=False, comment="our id of the conversation"),
        sa.Column("page_id", ID, nullable=False, comment="the Page"),
        sa.Column("sender_id", ID, nullable=True, comment="the contact, as the conversation has it"),
        sa.Column(
            "listed_at",
            UtcDateTime(),
            nullable=False,
            comment="its last_message_time; 1970 where it has none",
        ),
        sa.Column(
            "first_message_at",
            UtcDateTime(),
            nullable=True,
            comment="when the oldest stored message was sent",
        ),
        sa.Column(
            "last_message_at", UtcDateTime(), nullable=True, comment="when the newest stored message was sent"
        ),
        sa.Column(
            "last_contact_message_at", UtcDateTime(), nullable=True, comment="when the contact last wrote"
        ),
        sa.Column(
            "last_sender", sa.Text(), nullable=True, comment="who wrote last: contact or page; NULL: nobody"
        ),
        sa.Column(
            "unanswered_since_at",
            UtcDateTime(),
            nullable=True,
            comment="the contact's first message behind the Page's last; NULL: answered, or gone",
        ),
        sa.Column(
            "first_response_seconds",
            sa.Integer(),
            nullable=True,
            comment="the contact's first message to the Page's next; NULL: none, or older ones are missing",
        ),
        sa.Column(
            "messages_from_contact", sa.Integer(), nullable=False, comment="stored messages from the contact"
        ),
        sa.Column(
            "messages_from_page", sa.Integer(), nullable=False, comment="stored messages from the Page"
        ),
        sa.Column("has_phone", sa.Boolean(), nullable=False, comment="the contact wrote a phone number"),
        sa.Column("has_email", sa.Boolean(), nullable=False, comment="the contact wrote an e-mail address"),
        sa.ForeignKeyConstraint(
            ["page_id"], ["facebook_pages.id"], name="fk_conversation_facts_page_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("conversation_id", name="pk_conversation_facts"),
        comment="What the stored messages of a conversation tell",
    )
    op.create_index(
        "ix_conversation_facts_page_id_sender_id",
        "conversation_facts",
        ["page_id", "sender_id"],
        unique=False,
    )
    op.create_index(
        "ix_conversation_facts_unanswered",
        "conversation_facts",
        ["page_id", "listed_at"],
        unique=False,
        sqlite_where=sa.text("unanswered_since_at IS NOT NULL"),
        postgresql_where=sa.text("unanswered_since_at IS NOT NULL"),
    )
    op.create_index(
        "ix_conversation_facts_with_email",
        "conversation_facts",
        ["page_id", "listed_at"],
        unique=False,
        sqlite_where=sa.text("has_email IS 1"),
        postgresql_where=sa.text("has_email IS true"),
    )
    op.create_index(
        "ix_conversation_facts_with_phone",
        "conversation_facts",
        ["page_id", "listed_at"],
        unique=False,
        sqlite_where=sa.text("has_phone IS 1"),
        postgresql_where=sa.text("has_phone IS true"),
    )


def _create_message_index() -> None:
    op.create_table(
        "message_index",
        sa.Column(
            "id",
            _NUMBER,
            autoincrement=False,
            nullable=False,
            comment="the second it was sent in, times 2 to the 31st, plus what tells apart: newest last",
        ),
        sa.Column("page_id", ID, nullable=False, comment="the Page"),
        sa.Column("conversation_id", ID, nullable=False, comment="our id of the conversation"),
        sa.Column("message_id", ID, nullable=False, comment="Graph's id of the message"),
        sa.Column("is_from_page", sa.Boolean(), nullable=False, comment="sent by the Page, not to it"),
        sa.Column(
            "terms", sa.Text(), nullable=False, comment="its words, folded, a space before and behind each"
        ),
        sa.ForeignKeyConstraint(
            ["page_id"], ["facebook_pages.id"], name="fk_message_index_page_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_message_index"),
        comment="Messages in the order of their time, with the words that the search finds them by",
    )


def _create_page_activity() -> None:
    op.create_table(
        "page_activity",
        sa.Column("page_id", ID, nullable=False, comment="the Page"),
        sa.Column(
            "begins_at",
            UtcDateTime(),
            nullable=False,
            comment="when the quarter begins; 1970 for no known time",
        ),
        sa.Column("from_contacts", sa.Integer(), nullable=False, comment="stored messages to the Page in it"),
        sa.Column("from_page", sa.Integer(), nullable=False, comment="stored messages of the Page in it"),
        sa.ForeignKeyConstraint(
            ["page_id"], ["facebook_pages.id"], name="fk_page_activity_page_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("page_id", "begins_at", name="pk_page_activity"),
        comment="Messages in each quarter of an hour, for totals and charts",
    )


def _index_lists() -> None:
    op.create_index(
        "ix_messenger_conversations_beside_inbox",
        "messenger_conversations",
        ["page_id", "folder", "last_message_time"],
        unique=False,
        sqlite_where=sa.text("folder != 'inbox'"),
        postgresql_where=sa.text("folder != 'inbox'"),
    )
    op.create_index(
        "ix_messenger_conversations_unread",
        "messenger_conversations",
        ["page_id", "last_message_time"],
        unique=False,
        sqlite_where=sa.text("unread_count > 0"),
        postgresql_where=sa.text("unread_count > 0"),
    )

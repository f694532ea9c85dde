"""The first schema.

Revision ID: 0001
"""

import sqlalchemy as sa
from alembic import op

from inboxsync.store.connection.types import ID, JsonText, UtcDateTime

revision = "0001"
down_revision = None

# As this version wrote it: what `views` says now is for the newest schema.
_EVENTS_VIEW = """CREATE VIEW contact_interaction_events AS
SELECT
  m.message_id AS id,
  p.user_id AS user_id,
  m.conversation_id AS conversation_id,
  c.page_id AS page_id,
  c.sender_id AS sender_id,
  CASE WHEN m.is_from_page THEN 'message_sent' ELSE 'message_replied' END AS event_type,
  m.sent_at AS event_timestamp,
  c.platform AS channel,
  m.is_from_page AS is_outbound,
  {json_object}('source', m.source, 'message_id', m.message_id, 'platform', c.platform) AS metadata
FROM messages AS m
JOIN messenger_conversations AS c ON c.id = m.conversation_id
JOIN facebook_pages AS p ON p.id = c.page_id"""


def upgrade() -> None:
    op.create_table(
        "facebook_pages",
        sa.Column("id", ID, nullable=False, comment="our id of the Page, UUIDv7"),
        sa.Column("facebook_page_id", ID, nullable=False, comment="Meta's id of the Page"),
        sa.Column("platform", sa.Text(), nullable=False, comment="whose inbox: messenger or instagram"),
        sa.Column("account_id", ID, nullable=False, comment="the id under which the Page itself writes"),
        sa.Column(
            "user_id",
            sa.Text(),
            nullable=True,
            comment="the owner in your own application; inboxsync never sets it",
        ),
        sa.Column("name", sa.Text(), nullable=True, comment="the Page's name"),
        sa.Column(
            "access_token_sealed",
            sa.Text(),
            nullable=False,
            comment="the token, AES-256-GCM, base64; never in clear",
        ),
        sa.Column(
            "token_state",
            sa.Text(),
            nullable=False,
            comment="what its last use told: valid, invalid, not_permitted",
        ),
        sa.Column(
            "token_problem", sa.Text(), nullable=True, comment="why the token is not valid, and what to do"
        ),
        sa.Column(
            "last_synced_at",
            UtcDateTime(),
            nullable=True,
            comment="all up to here is stored; set it to NULL for a full sync",
        ),
        sa.Column("created_at", UtcDateTime(), nullable=False, comment="when the Page was added"),
        sa.Column("updated_at", UtcDateTime(), nullable=False, comment="when this row last changed"),
        sa.PrimaryKeyConstraint("id", name="pk_facebook_pages"),
        sa.UniqueConstraint("facebook_page_id", "platform", name="uq_facebook_pages_facebook_page_id"),
        comment="Pages that were added, one row for each platform",
    )
    op.create_table(
        "messenger_conversations",
        sa.Column("id", ID, nullable=False, comment="our id of the conversation, UUIDv7"),
        sa.Column("page_id", ID, nullable=False, comment="the Page"),
        sa.Column("conversation_id", ID, nullable=False, comment="Graph's id of the conversation"),
        sa.Column("platform", sa.Text(), nullable=False, comment="messenger or instagram"),
        sa.Column("folder", sa.Text(), nullable=False, comment="the inbox folder it was listed in"),
        sa.Column(
            "sender_id",
            ID,
            nullable=True,
            comment="the contact's id, scoped to the Page or app; NULL when nobody is left",
        ),
        sa.Column(
            "sender_name",
            sa.Text(),
            nullable=True,
            comment="the contact's name as served; NULL when withheld, never a placeholder",
        ),
        sa.Column(
            "participants",
            JsonText(),
            nullable=True,
            comment="everyone in it as served, the Page included: [{id, name, ...}]",
        ),
        sa.Column(
            "last_message",
            sa.Text(),
            nullable=True,
            comment="the newest message in words, as Meta's snippet or its text",
        ),
        sa.Column(
            "last_message_time", UtcDateTime(), nullable=True, comment="when the newest message was sent"
        ),
        sa.Column(
            "message_count", sa.Integer(), nullable=True, comment="Meta's estimate of the number of messages"
        ),
        sa.Column(
            "unread_count",
            sa.Integer(),
            nullable=True,
            comment="Meta's estimate of unread ones in the Page's inbox",
        ),
        sa.Column(
            "conversation_status",
            sa.Text(),
            nullable=False,
            comment="active, or gone when the source no longer has it",
        ),
        sa.Column("link", sa.Text(), nullable=True, comment="path of the conversation in Meta's own inbox"),
        sa.Column(
            "has_older_messages",
            sa.Boolean(),
            nullable=False,
            comment="the source has older messages than are stored",
        ),
        sa.Column(
            "source_updated_at",
            UtcDateTime(),
            nullable=True,
            comment="Graph's updated_time; an older answer changes nothing",
        ),
        sa.Column("extra", JsonText(), nullable=True, comment="fields served that have no column here"),
        sa.Column("created_at", UtcDateTime(), nullable=False, comment="when it was first stored"),
        sa.Column("updated_at", UtcDateTime(), nullable=False, comment="when this row last changed"),
        sa.ForeignKeyConstraint(
            ["page_id"], ["facebook_pages.id"], name="fk_messenger_conversations_page_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_messenger_conversations"),
        sa.UniqueConstraint("page_id", "conversation_id", name="uq_messenger_conversations_page_id"),
        comment="Conversations of the inboxes",
    )
    op.create_index(
        "ix_messenger_conversations_page_id_last_message_time",
        "messenger_conversations",
        ["page_id", "last_message_time"],
        unique=False,
    )
    op.create_index(
        "ix_messenger_conversations_sender_id", "messenger_conversations", ["sender_id"], unique=False
    )
    op.create_table(
        "sync_progress",
        sa.Column("page_id", ID, nullable=False, comment="the Page"),
        sa.Column("folder", sa.Text(), nullable=False, comment="the list's folder"),
        sa.Column("phase", sa.Text(), nullable=False, comment="walking or following; no row: not started"),
        sa.Column("pin_at", UtcDateTime(), nullable=True, comment="the source's time when this walk began"),
        sa.Column(
            "floor_at",
            UtcDateTime(),
            nullable=True,
            comment="how far down this walk goes; NULL: to the bottom",
        ),
        sa.Column(
            "frontier_at",
            UtcDateTime(),
            nullable=True,
            comment="the oldest updated_time this walk has consumed",
        ),
        sa.Column(
            "cursor", sa.Text(), nullable=True, comment="where the source said to go on; a hint, it may die"
        ),
        sa.Column("watermark_at", UtcDateTime(), nullable=True, comment="everything up to here is stored"),
        sa.Column("updated_at", UtcDateTime(), nullable=False, comment="when this row last changed"),
        sa.ForeignKeyConstraint(
            ["page_id"], ["facebook_pages.id"], name="fk_sync_progress_page_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("page_id", "folder", name="pk_sync_progress"),
        comment="How far each list has come; written in the transaction that stores what it vouches for",
    )
    op.create_table(
        "sync_runs",
        sa.Column("id", ID, nullable=False, comment="our id of the run, UUIDv7"),
        sa.Column("page_id", ID, nullable=False, comment="the Page"),
        sa.Column("mode", sa.Text(), nullable=False, comment="what it did: full or incremental"),
        sa.Column(
            "status", sa.Text(), nullable=False, comment="running, complete, partial, failed or interrupted"
        ),
        sa.Column("started_at", UtcDateTime(), nullable=False, comment="when it began"),
        sa.Column(
            "finished_at",
            UtcDateTime(),
            nullable=True,
            comment="when it ended; NULL while running, or killed",
        ),
        sa.Column(
            "fetched",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="conversations fetched",
        ),
        sa.Column(
            "inserted",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="conversations that were new",
        ),
        sa.Column(
            "updated",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="conversations that had changed",
        ),
        sa.Column(
            "unchanged",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="conversations as they were",
        ),
        sa.Column(
            "events",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="messages that were new",
        ),
        sa.Column(
            "batches", sa.Integer(), server_default=sa.text("0"), nullable=False, comment="batches stored"
        ),
        sa.Column(
            "calls",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="calls made to the source",
        ),
        sa.Column(
            "refused_calls",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="of them refused for their rate",
        ),
        sa.Column("problems", JsonText(), nullable=True, comment="what went wrong: [{code, message, hint}]"),
        sa.Column(
            "next",
            sa.Text(),
            nullable=True,
            comment="the command that goes on; NULL when there is nothing to do",
        ),
        sa.ForeignKeyConstraint(
            ["page_id"], ["facebook_pages.id"], name="fk_sync_runs_page_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_sync_runs"),
        comment="Executions of a sync, and how they ended",
    )
    op.create_index("ix_sync_runs_page_id_started_at", "sync_runs", ["page_id", "started_at"], unique=False)
    op.create_table(
        "messages",
        sa.Column("conversation_id", ID, nullable=False, comment="our id of the conversation"),
        sa.Column("message_id", ID, nullable=False, comment="Graph's id of the message"),
        sa.Column("sent_at", UtcDateTime(), nullable=True, comment="when it was sent"),
        sa.Column("is_from_page", sa.Boolean(), nullable=False, comment="sent by the Page, not to it"),
        sa.Column("sender_id", ID, nullable=True, comment="who sent it; NULL when the source does not say"),
        sa.Column(
            "sender_name", sa.Text(), nullable=True, comment="the sender's name as served with the message"
        ),
        sa.Column(
            "text",
            sa.Text(),
            nullable=True,
            comment="the text as served; empty for a sticker or an attachment alone",
        ),
        sa.Column(
            "attachments",
            JsonText(),
            nullable=True,
            comment="as served: [{id, mime_type, name, image_data, ...}]; the URLs expire",
        ),
        sa.Column("shares", JsonText(), nullable=True, comment="shared links as served"),
        sa.Column("sticker", sa.Text(), nullable=True, comment="URL of a sticker"),
        sa.Column("reactions", JsonText(), nullable=True, comment="as served: [{reaction, users}]"),
        sa.Column("story", JsonText(), nullable=True, comment="the Instagram story it answers or mentions"),
        sa.Column(
            "reply_to_message_id", ID, nullable=True, comment="Graph's id of the message it replies to"
        ),
        sa.Column(
            "source",
            sa.Text(),
            nullable=False,
            comment="how it first arrived: initial_sync, incremental_sync, ...",
        ),
        sa.Column("extra", JsonText(), nullable=True, comment="fields served that have no column here"),
        sa.Column("created_at", UtcDateTime(), nullable=False, comment="when it was first stored"),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["messenger_conversations.id"],
            name="fk_messages_conversation_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("conversation_id", "message_id", name="pk_messages"),
        comment="Messages, one row each",
    )
    json_object = "jsonb_build_object" if op.get_bind().dialect.name == "postgresql" else "json_object"
    op.execute(_EVENTS_VIEW.format(json_object=json_object))

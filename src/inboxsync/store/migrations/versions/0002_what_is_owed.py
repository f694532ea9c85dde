"""What is owed, who syncs, what is allowed, what was proved.

Nothing is rebuilt: `messages` may hold ten million rows, so its new column is added in place.

Revision ID: 0002
"""

import json
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from alembic import op

from inboxsync.store.connection.types import ID, JsonText, UtcDateTime

revision = "0002"
down_revision = "0001"

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
JOIN facebook_pages AS p ON p.id = c.page_id
WHERE m.is_readable"""


def upgrade() -> None:
    op.execute("DROP VIEW contact_interaction_events")
    _add_columns()
    _index_conversations_with_older_messages()
    _remake_progress()
    _create_ledger()
    _create_leases_and_pools()
    _create_certificates()
    json_object = "jsonb_build_object" if op.get_bind().dialect.name == "postgresql" else "json_object"
    op.execute(_EVENTS_VIEW.format(json_object=json_object))


def _add_columns() -> None:
    for column in (
        sa.Column(
            "token_reason",
            sa.Text(),
            nullable=True,
            comment="why it is not valid, in one word: expired, app_removed, ...",
        ),
        sa.Column(
            "history",
            sa.Text(),
            server_default=sa.text("'newest'"),
            nullable=False,
            comment="how far back messages are kept: newest (the newest few and all since) or all",
        ),
        sa.Column(
            "batch_size",
            sa.Integer(),
            nullable=True,
            comment="conversations a call that the source was seen to manage",
        ),
        sa.Column(
            "time_windows",
            sa.Boolean(),
            nullable=True,
            comment="whether lists can be asked for by time; NULL: not tried yet",
        ),
    ):
        op.add_column("facebook_pages", column)
    op.add_column(
        "messages",
        sa.Column(
            "is_readable",
            sa.Boolean(),
            server_default=sa.true(),
            nullable=False,
            comment="false where the source names it and tells no more than its time",
        ),
    )


def _index_conversations_with_older_messages() -> None:
    op.create_index(
        "ix_messenger_conversations_has_older_messages",
        "messenger_conversations",
        ["page_id", "has_older_messages", "last_message_time", "message_count", "conversation_status"],
        unique=False,
        sqlite_where=sa.text("has_older_messages = 1 AND conversation_status != 'gone'"),
        postgresql_where=sa.text("has_older_messages AND conversation_status != 'gone'"),
    )


def _remake_progress() -> None:
    """What is left of a walk was one stretch, and may now be several. The table is small: made anew."""
    connection = op.get_bind()
    old = sa.table(
        "sync_progress",
        *(sa.column(name) for name in ("page_id", "folder", "phase", "cursor")),
        *(
            sa.column(name, UtcDateTime())
            for name in ("pin_at", "floor_at", "frontier_at", "watermark_at", "updated_at")
        ),
    )
    rows = [row._asdict() for row in connection.execute(sa.select(old))]
    op.drop_table("sync_progress")
    made = op.create_table(
        "sync_progress",
        sa.Column("page_id", ID, nullable=False, comment="the Page"),
        sa.Column("folder", sa.Text(), nullable=False, comment="the list's folder"),
        sa.Column(
            "phase",
            sa.Text(),
            nullable=False,
            comment="walking, following, or unserved: the source has no such folder; no row: not started",
        ),
        sa.Column("pin_at", UtcDateTime(), nullable=True, comment="the source's time when this walk began"),
        sa.Column(
            "floor_at",
            UtcDateTime(),
            nullable=True,
            comment="how far down this walk goes; NULL: to the bottom",
        ),
        sa.Column(
            "spans",
            JsonText(),
            nullable=True,
            comment="what of the walk is still to be read, newest first: [{frontier, floor, cursor}]",
        ),
        sa.Column("watermark_at", UtcDateTime(), nullable=True, comment="everything up to here is stored"),
        sa.Column("updated_at", UtcDateTime(), nullable=False, comment="when this row last changed"),
        sa.ForeignKeyConstraint(
            ["page_id"], ["facebook_pages.id"], name="fk_sync_progress_page_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("page_id", "folder", name="pk_sync_progress"),
        comment="How far each list has come; written in the transaction that stores what it vouches for",
    )
    if rows:
        connection.execute(sa.insert(made), [_with_spans(row) for row in rows])


def _with_spans(row: dict[str, Any]) -> dict[str, Any]:
    frontier, cursor = row.pop("frontier_at"), row.pop("cursor")
    # A sweep reaches a little below its floor.
    floor = row["floor_at"] - timedelta(seconds=20) if row["floor_at"] else None
    span = {
        "frontier": frontier.isoformat() if frontier else None,
        "floor": floor.isoformat() if floor else None,
        "cursor": cursor,
    }
    return row | {"spans": json.dumps([span]) if row["phase"] == "walking" else None}


def _create_ledger() -> None:
    op.create_table(
        "sync_items",
        sa.Column("page_id", ID, nullable=False, comment="the Page"),
        sa.Column("phase", sa.Text(), nullable=False, comment="what is owed: conversation, gap or history"),
        sa.Column(
            "conversation_id",
            ID,
            nullable=False,
            comment="Graph's id of the conversation; it may not be stored",
        ),
        sa.Column("folder", sa.Text(), nullable=False, comment="the inbox folder it was listed in"),
        sa.Column(
            "cursor", sa.Text(), nullable=True, comment="how far its messages were read; a hint, it may die"
        ),
        sa.Column(
            "anchors",
            JsonText(),
            nullable=True,
            comment="Graph's ids of stored messages; meeting one closes the gap: [id, ...]",
        ),
        sa.Column(
            "until_at", UtcDateTime(), nullable=True, comment="a message below this time closes the gap too"
        ),
        sa.Column(
            "error_code",
            sa.Text(),
            nullable=True,
            comment="what the last attempt met, in one word; NULL: none failed",
        ),
        sa.Column("error_message", sa.Text(), nullable=True, comment="the same in a sentence"),
        sa.Column("error_hint", sa.Text(), nullable=True, comment="the next thing to do about it"),
        sa.Column(
            "attempts",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="attempts that failed in a row",
        ),
        sa.Column(
            "next_attempt_at", UtcDateTime(), nullable=True, comment="not to be tried before; NULL: now"
        ),
        sa.Column("created_at", UtcDateTime(), nullable=False, comment="since when it is owed"),
        sa.Column("updated_at", UtcDateTime(), nullable=False, comment="when this row last changed"),
        sa.ForeignKeyConstraint(
            ["page_id"], ["facebook_pages.id"], name="fk_sync_items_page_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("page_id", "phase", "conversation_id", name="pk_sync_items"),
        comment="The ledger: what is known to be missing and will be fetched",
    )


def _create_leases_and_pools() -> None:
    op.create_table(
        "page_leases",
        sa.Column("page_id", ID, nullable=False, comment="the Page"),
        sa.Column("owner", sa.Text(), nullable=False, comment="the process that syncs it: host:pid:random"),
        sa.Column("acquired_at", UtcDateTime(), nullable=False, comment="since when"),
        sa.Column("heartbeat_at", UtcDateTime(), nullable=False, comment="when it last said that it lives"),
        sa.Column("expires_at", UtcDateTime(), nullable=False, comment="from then on anybody may take it"),
        sa.ForeignKeyConstraint(
            ["page_id"], ["facebook_pages.id"], name="fk_page_leases_page_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("page_id", name="pk_page_leases"),
        comment="Who syncs a Page right now; no row: nobody",
    )
    op.create_table(
        "rate_pools",
        sa.Column("object_id", ID, nullable=False, comment="Meta's id of what the allowance is for"),
        sa.Column(
            "type",
            sa.Text(),
            nullable=False,
            comment="Meta's word: messenger, instagram, pages; app: the app's own",
        ),
        sa.Column(
            "used_percent", sa.Integer(), nullable=True, comment="how much of it is used; NULL: not told yet"
        ),
        sa.Column(
            "blocked_until_at",
            UtcDateTime(),
            nullable=True,
            comment="no call before; NULL: calls are welcome",
        ),
        sa.Column(
            "refusals",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="waits in a row that did not help",
        ),
        sa.Column("updated_at", UtcDateTime(), nullable=False, comment="when this row last changed"),
        sa.PrimaryKeyConstraint("object_id", "type", name="pk_rate_pools"),
        comment="What Meta still allows, as its usage headers last told it",
    )


def _create_certificates() -> None:
    op.create_table(
        "certificates",
        sa.Column("id", ID, nullable=False, comment="our id of the certificate, UUIDv7"),
        sa.Column("page_id", ID, nullable=False, comment="the Page"),
        sa.Column(
            "checked_at", UtcDateTime(), nullable=False, comment="when the store was held against the source"
        ),
        sa.Column("is_complete", sa.Boolean(), nullable=False, comment="nothing that can be read is missing"),
        sa.Column("summary", JsonText(), nullable=False, comment="what was found, list by list"),
        sa.ForeignKeyConstraint(
            ["page_id"], ["facebook_pages.id"], name="fk_certificates_page_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_certificates"),
        comment="Proofs of completeness",
    )
    op.create_index("ix_certificates_page_id_checked_at", "certificates", ["page_id", "checked_at"])

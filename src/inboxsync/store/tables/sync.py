"""What the sync knows of its own work: positions, backlog, leases, runs, verifications."""

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)

from inboxsync.store.connection.types import ID, JsonText, UtcDateTime
from inboxsync.store.tables.base import metadata

list_positions = Table(
    "list_positions",
    metadata,
    Column(
        "page_id",
        ID,
        ForeignKey("facebook_pages.id", ondelete="CASCADE"),
        nullable=False,
        comment="the Page",
    ),
    Column("folder", Text, nullable=False, comment="the list's folder"),
    Column(
        "state",
        Text,
        nullable=False,
        comment="scanning, following, or unserved: the source has no such folder; no row: not started",
    ),
    Column("snapshot_at", UtcDateTime, comment="the source's time when this scan began"),
    Column("lower_bound_at", UtcDateTime, comment="how far down this scan goes; NULL: to the bottom"),
    Column(
        "segments",
        JsonText,
        comment="what of the scan is still to be read, newest first: [{position, lower_bound, cursor}]",
    ),
    Column("watermark_at", UtcDateTime, comment="everything up to here is stored"),
    Column("updated_at", UtcDateTime, nullable=False, comment="when this row last changed"),
    PrimaryKeyConstraint("page_id", "folder"),
    comment="How far each list has come; written in the transaction that stores what it vouches for",
)

sync_runs = Table(
    "sync_runs",
    metadata,
    Column("id", ID, primary_key=True, comment="our id of the run, UUIDv7"),
    Column(
        "page_id",
        ID,
        ForeignKey("facebook_pages.id", ondelete="CASCADE"),
        nullable=False,
        comment="the Page",
    ),
    Column("mode", Text, nullable=False, comment="what it did: full or incremental"),
    Column("status", Text, nullable=False, comment="running, complete, partial, failed or interrupted"),
    Column("started_at", UtcDateTime, nullable=False, comment="when it began"),
    Column("finished_at", UtcDateTime, comment="when it ended; NULL while running, or killed"),
    Column("fetched", Integer, nullable=False, server_default=text("0"), comment="conversations fetched"),
    Column(
        "inserted", Integer, nullable=False, server_default=text("0"), comment="conversations that were new"
    ),
    Column(
        "updated", Integer, nullable=False, server_default=text("0"), comment="conversations that had changed"
    ),
    Column(
        "unchanged", Integer, nullable=False, server_default=text("0"), comment="conversations as they were"
    ),
    Column("events", Integer, nullable=False, server_default=text("0"), comment="messages that were new"),
    Column("batches", Integer, nullable=False, server_default=text("0"), comment="batches stored"),
    Column("calls", Integer, nullable=False, server_default=text("0"), comment="calls made to the source"),
    Column(
        "refused_calls",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="of them refused for their rate",
    ),
    Column("problems", JsonText, comment="what went wrong: [{code, message, hint}]"),
    Column("next", Text, comment="the command that continues the run; NULL: nothing is left to do"),
    # Columns that came later stand at the end, as they do in every database.
    Column(
        "kind",
        Text,
        nullable=False,
        server_default=text("'sync'"),
        comment="sync, or verify: a comparison with the source",
    ),
    Column("request", JsonText, comment="what a worker was asked for; NULL: a command of its own"),
    Column("queued_at", UtcDateTime, comment="when it was enqueued for the workers; NULL: it was not"),
    Column("cancel_asked_at", UtcDateTime, comment="when somebody asked that it end; NULL: nobody has"),
    Column("updated_at", UtcDateTime, comment="when this row last changed"),
    Column("active_seconds", Float, comment="working time in seconds, without waits between tasks"),
    Index(None, "page_id", "started_at"),
    comment="Executions of a sync, and how they ended",
)

sync_run_events = Table(
    "sync_run_events",
    metadata,
    Column(
        "run_id",
        ID,
        ForeignKey("sync_runs.id", ondelete="CASCADE"),
        nullable=False,
        comment="the run",
    ),
    Column("seq", Integer, nullable=False, comment="1, 2, 3, ... within the run"),
    Column("at", UtcDateTime, nullable=False, comment="when it was told"),
    Column(
        "status",
        Text,
        nullable=False,
        comment="starting, fetching, processing, retrying, batch_failed, syncing, waiting, timeout_warning, "
        "complete, complete_with_errors or error",
    ),
    Column("data", JsonText, nullable=False, comment="the run's counters, and what else there is to tell"),
    PrimaryKeyConstraint("run_id", "seq"),
    comment="What a run told while it went, at most one or two rows a second; goes with its run",
)

backlog = Table(
    "backlog",
    metadata,
    Column(
        "page_id",
        ID,
        ForeignKey("facebook_pages.id", ondelete="CASCADE"),
        nullable=False,
        comment="the Page",
    ),
    Column("kind", Text, nullable=False, comment="what is missing: conversation, gap or history"),
    Column(
        "conversation_id",
        ID,
        nullable=False,
        comment="Graph's id of the conversation; it may not be stored",
    ),
    Column("folder", Text, nullable=False, comment="the inbox folder it was listed in"),
    Column("cursor", Text, comment="how far its messages were read; a hint, it may die"),
    Column(
        "anchors", JsonText, comment="Graph's ids of stored messages; meeting one closes the gap: [id, ...]"
    ),
    Column("until_at", UtcDateTime, comment="a message below this time closes the gap too"),
    Column("error_code", Text, comment="what the last attempt met, in one word; NULL: none failed"),
    Column("error_message", Text, comment="the same in a sentence"),
    Column("error_hint", Text, comment="the next thing to do about it"),
    Column(
        "attempts", Integer, nullable=False, server_default=text("0"), comment="attempts that failed in a row"
    ),
    Column("next_attempt_at", UtcDateTime, comment="not to be tried before; NULL: now"),
    Column("created_at", UtcDateTime, nullable=False, comment="since when it is known to be missing"),
    Column("updated_at", UtcDateTime, nullable=False, comment="when this row last changed"),
    PrimaryKeyConstraint("page_id", "kind", "conversation_id"),
    comment="The backlog: what is known to be missing and will be fetched",
)

page_leases = Table(
    "page_leases",
    metadata,
    Column(
        "page_id",
        ID,
        ForeignKey("facebook_pages.id", ondelete="CASCADE"),
        primary_key=True,
        comment="the Page",
    ),
    Column("owner", Text, nullable=False, comment="the process that syncs it: host:pid:random"),
    Column("acquired_at", UtcDateTime, nullable=False, comment="since when"),
    Column("heartbeat_at", UtcDateTime, nullable=False, comment="when it last said that it lives"),
    Column("expires_at", UtcDateTime, nullable=False, comment="from then on anybody may take it"),
    comment="Who syncs a Page right now; no row: nobody",
)

quotas = Table(
    "quotas",
    metadata,
    Column("object_id", ID, nullable=False, comment="Meta's id of what the quota is for"),
    Column(
        "type", Text, nullable=False, comment="Meta's word: messenger, instagram, pages; app: the app's own"
    ),
    Column("used_percent", Integer, comment="how much of it is used; NULL: not told yet"),
    Column("blocked_until_at", UtcDateTime, comment="no call before; NULL: calls are welcome"),
    Column(
        "refusals",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="waits in a row that did not help",
    ),
    Column("updated_at", UtcDateTime, nullable=False, comment="when this row last changed"),
    PrimaryKeyConstraint("object_id", "type"),
    comment="How much of Meta's quotas is used, as its usage headers last told it",
)

verifications = Table(
    "verifications",
    metadata,
    Column("id", ID, primary_key=True, comment="our id of the verification, UUIDv7"),
    Column(
        "page_id",
        ID,
        ForeignKey("facebook_pages.id", ondelete="CASCADE"),
        nullable=False,
        comment="the Page",
    ),
    Column("checked_at", UtcDateTime, nullable=False, comment="when the store was compared with the source"),
    Column("is_complete", Boolean, nullable=False, comment="nothing that can be read is missing"),
    Column("summary", JsonText, nullable=False, comment="what was found, list by list"),
    Index(None, "page_id", "checked_at"),
    comment="Verification reports: what was compared with the source, and what was missing",
)

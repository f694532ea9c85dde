"""What the workers share: runs that wait for them, who lives, and when each Page is due."""

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, Table, Text, UniqueConstraint, false, text

from inboxsync.store.connection.types import ID, UtcDateTime
from inboxsync.store.tables.base import metadata

run_tasks = Table(
    "run_tasks",
    metadata,
    Column("run_id", ID, ForeignKey("sync_runs.id", ondelete="CASCADE"), primary_key=True, comment="the run"),
    Column(
        "page_id",
        ID,
        ForeignKey("facebook_pages.id", ondelete="CASCADE"),
        nullable=False,
        comment="its Page; a Page has one run with the workers at a time",
    ),
    Column("queue", Text, nullable=False, comment="what the task is for: newest, scan, history or verify"),
    Column("number", Integer, nullable=False, comment="its number within the run: 1, 2, 3, ..."),
    Column("due_at", UtcDateTime, nullable=False, comment="not to be begun before"),
    Column("dispatched_at", UtcDateTime, comment="when it was put into a queue; NULL: not yet"),
    Column("worker_id", Text, comment="the worker that has begun it; NULL: none yet"),
    Column(
        "failures",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="tasks in a row that were cut short by something that passes",
    ),
    UniqueConstraint("page_id"),
    Index(None, "dispatched_at", "due_at"),
    comment="The next task, or the one being executed, of each run that workers have; no row: it has ended",
)

workers = Table(
    "workers",
    metadata,
    Column("id", ID, primary_key=True, comment="host:pid:random, as in the leases it takes"),
    Column("version", Text, nullable=False, comment="which version of inboxsync it runs"),
    Column("concurrency", Integer, nullable=False, comment="how many Pages it works on side by side"),
    Column("started_at", UtcDateTime, nullable=False, comment="since when"),
    Column("heartbeat_at", UtcDateTime, nullable=False, comment="when it last said that it lives"),
    comment="Processes that execute runs",
)

page_schedules = Table(
    "page_schedules",
    metadata,
    Column(
        "page_id",
        ID,
        ForeignKey("facebook_pages.id", ondelete="CASCADE"),
        primary_key=True,
        comment="the Page",
    ),
    Column("every_seconds", Integer, comment="how often to catch up; NULL: every five minutes"),
    Column(
        "is_paused",
        Boolean,
        nullable=False,
        server_default=false(),
        comment="nothing is started by itself",
    ),
    Column("next_sync_at", UtcDateTime, comment="when it is due; NULL: now"),
    Column("next_verify_at", UtcDateTime, comment="when its nightly verification is due; NULL: not set yet"),
    comment="When the workers start runs of a Page by themselves; no row: as by default, and due now",
)

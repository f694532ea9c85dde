"""Runs that workers execute: what was asked for, what they tell, who works, when each Page is due.

Revision ID: 0003
"""

import sqlalchemy as sa
from alembic import op

from inboxsync.store.connection.types import ID, JsonText, UtcDateTime

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    _add_columns()
    _create_events()
    _create_slices()
    _create_workers()
    _create_schedules()


def _add_columns() -> None:
    for column in (
        sa.Column(
            "kind",
            sa.Text(),
            server_default=sa.text("'sync'"),
            nullable=False,
            comment="sync, or verify: a comparison with the source",
        ),
        sa.Column(
            "request",
            JsonText(),
            nullable=True,
            comment="what a worker was asked for; NULL: a command of its own",
        ),
        sa.Column(
            "queued_at",
            UtcDateTime(),
            nullable=True,
            comment="when it was handed to the workers; NULL: it was not",
        ),
        sa.Column(
            "cancel_asked_at",
            UtcDateTime(),
            nullable=True,
            comment="when somebody asked that it end; NULL: nobody has",
        ),
        sa.Column("updated_at", UtcDateTime(), nullable=True, comment="when this row last changed"),
        sa.Column(
            "active_seconds",
            sa.Float(),
            nullable=True,
            comment="seconds at work, without waits between slices",
        ),
    ):
        op.add_column("sync_runs", column)


def _create_events() -> None:
    op.create_table(
        "sync_run_events",
        sa.Column("run_id", ID, nullable=False, comment="the run"),
        sa.Column("seq", sa.Integer(), nullable=False, comment="1, 2, 3, ... within the run"),
        sa.Column("at", UtcDateTime(), nullable=False, comment="when it was told"),
        sa.Column(
            "status",
            sa.Text(),
            nullable=False,
            comment="starting, fetching, processing, retrying, batch_failed, syncing, waiting, "
            "timeout_warning, complete, complete_with_errors or error",
        ),
        sa.Column(
            "data", JsonText(), nullable=False, comment="the run's counters, and what else there is to tell"
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["sync_runs.id"], name="fk_sync_run_events_run_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "seq", name="pk_sync_run_events"),
        comment="What a run told while it went, at most one or two rows a second; goes with its run",
    )


def _create_slices() -> None:
    op.create_table(
        "run_slices",
        sa.Column("run_id", ID, nullable=False, comment="the run"),
        sa.Column(
            "page_id",
            ID,
            nullable=False,
            comment="its Page; a Page has one run with the workers at a time",
        ),
        sa.Column(
            "lane",
            sa.Text(),
            nullable=False,
            comment="what the slice is for: newest, walk, history or verify",
        ),
        sa.Column("slice", sa.Integer(), nullable=False, comment="its number within the run: 1, 2, 3, ..."),
        sa.Column("due_at", UtcDateTime(), nullable=False, comment="not to be begun before"),
        sa.Column(
            "handed_at",
            UtcDateTime(),
            nullable=True,
            comment="when it was put into the workers' queue; NULL: not yet",
        ),
        sa.Column(
            "worker_id", sa.Text(), nullable=True, comment="the worker that has begun it; NULL: none yet"
        ),
        sa.Column(
            "failures",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="slices in a row that were cut short by something that passes",
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["sync_runs.id"], name="fk_run_slices_run_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["page_id"], ["facebook_pages.id"], name="fk_run_slices_page_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", name="pk_run_slices"),
        sa.UniqueConstraint("page_id", name="uq_run_slices_page_id"),
        comment="The next slice, or the one under way, of every run that the workers have; "
        "no row: it has ended",
    )
    op.create_index("ix_run_slices_lane_due_at", "run_slices", ["lane", "due_at"])


def _create_workers() -> None:
    op.create_table(
        "workers",
        sa.Column("id", ID, nullable=False, comment="host:pid:random, as in the leases it takes"),
        sa.Column("version", sa.Text(), nullable=False, comment="which form of the workflow it runs"),
        sa.Column(
            "concurrency",
            sa.Integer(),
            nullable=False,
            comment="how many Pages it works on side by side",
        ),
        sa.Column("started_at", UtcDateTime(), nullable=False, comment="since when"),
        sa.Column("heartbeat_at", UtcDateTime(), nullable=False, comment="when it last said that it lives"),
        sa.PrimaryKeyConstraint("id", name="pk_workers"),
        comment="Processes that execute runs",
    )


def _create_schedules() -> None:
    op.create_table(
        "page_schedules",
        sa.Column("page_id", ID, nullable=False, comment="the Page"),
        sa.Column(
            "every_seconds",
            sa.Integer(),
            nullable=True,
            comment="how often to catch up; NULL: every five minutes",
        ),
        sa.Column(
            "is_paused",
            sa.Boolean(),
            server_default=sa.false(),
            nullable=False,
            comment="nothing is started by itself",
        ),
        sa.Column("next_sync_at", UtcDateTime(), nullable=True, comment="when it is due; NULL: now"),
        sa.Column(
            "next_verify_at",
            UtcDateTime(),
            nullable=True,
            comment="when its nightly verification is due; NULL: not set yet",
        ),
        sa.ForeignKeyConstraint(
            ["page_id"], ["facebook_pages.id"], name="fk_page_schedules_page_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("page_id", name="pk_page_schedules"),
        comment="When the workers start runs of a Page by themselves; no row: as by default, and due now",
    )

"""Where phone numbers were looked for, so that another country is noticed; contacts with a number at once.

Nothing is looked through here: the next pass that is told a country does so, a batch at a time.

Revision ID: 0008
"""

import sqlalchemy as sa
from alembic import op

from inboxsync.store.connection.types import ID

revision = "0008"
down_revision = "0007"

# Each with its condition, as SQLite and PostgreSQL spell it.
_INDEXES = (
    ("ix_contacts_unanswered", "unanswered_since_at IS NOT NULL", "unanswered_since_at IS NOT NULL"),
    ("ix_contacts_with_email", "has_email IS 1", "has_email IS true"),
    ("ix_contacts_with_phone", "has_phone IS 1", "has_phone IS true"),
)


def upgrade() -> None:
    op.create_table(
        "detail_region",
        sa.Column(
            "id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
            comment="1: there is one row at most",
        ),
        sa.Column(
            "region",
            sa.Text(),
            nullable=False,
            comment="where phone numbers without a country's were taken to be",
        ),
        sa.Column(
            "again_after",
            ID,
            nullable=True,
            comment="our id of the conversation behind which all are looked through anew; NULL: none is",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_detail_region"),
        comment="How contact details are looked for; a row once a region has been named",
    )
    for name, sqlite, postgresql in _INDEXES:
        op.create_index(
            name,
            "contacts",
            ["page_id", "listed_at"],
            unique=False,
            sqlite_where=sa.text(sqlite),
            postgresql_where=sa.text(postgresql),
        )

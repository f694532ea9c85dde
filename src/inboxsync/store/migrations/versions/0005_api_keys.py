"""Keys to the HTTP service.

Revision ID: 0005
"""

import sqlalchemy as sa
from alembic import op

from inboxsync.store.connection.types import ID, UtcDateTime

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", ID, nullable=False, comment="our id of the key, UUIDv7"),
        sa.Column("name", ID, nullable=False, comment="what its owner calls it"),
        sa.Column("scope", sa.Text(), nullable=False, comment="what it opens: read, sync or admin"),
        sa.Column(
            "prefix", ID, nullable=False, comment="how the key begins: tells it from others, opens nothing"
        ),
        sa.Column(
            "digest", sa.Text(), nullable=False, comment="SHA-256 of the whole key, in hex; never the key"
        ),
        sa.Column("created_at", UtcDateTime(), nullable=False, comment="when it was made"),
        sa.Column(
            "revoked_at", UtcDateTime(), nullable=True, comment="from then on it opens nothing; NULL: it does"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("name", name="uq_api_keys_name"),
        sa.UniqueConstraint("prefix", name="uq_api_keys_prefix"),
        comment="Keys to the HTTP service",
    )

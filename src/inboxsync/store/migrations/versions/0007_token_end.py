"""When a Page's token ends.

Revision ID: 0007
"""

import sqlalchemy as sa
from alembic import op

from inboxsync.store.connection.types import UtcDateTime

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column(
        "facebook_pages",
        sa.Column(
            "token_expires_at",
            UtcDateTime(),
            nullable=True,
            comment="when the token ends; NULL: never, or not known",
        ),
    )

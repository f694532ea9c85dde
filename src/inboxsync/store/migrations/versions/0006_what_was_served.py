"""What the source last served of each conversation, in short.

Nothing is rebuilt: without a digest a conversation is looked at once more, and then has one.

Revision ID: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column(
        "messenger_conversations",
        sa.Column(
            "served_digest",
            sa.Text(),
            nullable=True,
            comment="of what was last served: what is served so again is passed over; NULL: to be looked at",
        ),
    )
    op.add_column(
        "messenger_conversations",
        sa.Column(
            "served_messages",
            sa.Integer(),
            nullable=True,
            comment="how many messages were stored when it was served so",
        ),
    )

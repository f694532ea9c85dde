"""The first schema: one SQL file for each database, beside this one.

The files never change once they are released; a later migration changes what they made.

Revision ID: 0001_initial
"""

from pathlib import Path

from alembic import op

revision = "0001_initial"
down_revision = None


def upgrade() -> None:
    connection = op.get_bind()
    path = Path(__file__).with_suffix(f".{connection.dialect.name}.sql")
    # A trigger has semicolons too, but none at the end of a line.
    for statement in path.read_text(encoding="utf-8").split(";\n"):
        if statement.strip():
            connection.exec_driver_sql(statement)

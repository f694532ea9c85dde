"""Tells alembic where to run: on the connection that `schema.run_migrations` hands over."""

from alembic import context
from alembic.ddl.base import AddColumn, visit_add_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import DDLCompiler

from inboxsync.store.tables import VERSION_TABLE, metadata


@compiles(AddColumn, "sqlite")
def _column_with_comment(element: AddColumn, compiler: DDLCompiler, **kw: object) -> str:
    """As `tables` does for a new table: SQLite keeps the SQL it was given, the comment with it."""
    return f"{visit_add_column(element, compiler, **kw)} /* {element.column.comment} */"


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
# The transaction is the caller's, so that a migration that fails leaves nothing behind.
context.run_migrations()

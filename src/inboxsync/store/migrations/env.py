"""Tells alembic where to run: on the connection that `schema.run_migrations` hands over."""

from alembic import context

from inboxsync.store.schema import VERSION_TABLE
from inboxsync.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
# The transaction is the caller's, so that a migration that fails leaves nothing behind.
context.run_migrations()

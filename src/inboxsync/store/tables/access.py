"""Who may call the HTTP service."""

from sqlalchemy import Column, Table, Text, UniqueConstraint

from inboxsync.store.connection.types import ID, UtcDateTime
from inboxsync.store.tables.base import metadata

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", ID, primary_key=True, comment="our id of the key, UUIDv7"),
    Column("name", ID, nullable=False, comment="what its owner calls it"),
    Column("scope", Text, nullable=False, comment="what it opens: read, sync or admin"),
    Column("prefix", ID, nullable=False, comment="how the key begins: identifies it; gives no access"),
    Column("digest", Text, nullable=False, comment="SHA-256 of the whole key, in hex; never the key"),
    Column("created_at", UtcDateTime, nullable=False, comment="when it was made"),
    Column("revoked_at", UtcDateTime, comment="from then on it opens nothing; NULL: it does"),
    UniqueConstraint("name"),
    UniqueConstraint("prefix"),
    comment="Keys to the HTTP service",
)

"""Who may call the HTTP service, and which sessions of its dashboard have ended."""

from typing import Final

from sqlalchemy import Column, Integer, Table, Text, UniqueConstraint

from inboxsync.store.connection.types import ID, UtcDateTime
from inboxsync.store.tables.base import metadata

# What a copy of the database leaves out: another database is another instance.
STAYS: Final = {"stays": True}

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

dashboard_instance = Table(
    "dashboard_instance",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False, comment="1: there is one row"),
    Column("instance_id", ID, nullable=False, comment="which database this is, for sessions; random"),
    comment="Sessions of the dashboard are bound to this database",
    info=STAYS,
)

ended_sessions = Table(
    "ended_sessions",
    metadata,
    Column("session_id", ID, primary_key=True, comment="the id in the session's cookie; gives no access"),
    Column("ended_at", UtcDateTime, nullable=False, comment="when its visitor logged out"),
    comment="Sessions of the dashboard that ended before their time; kept until they would have ended",
    info=STAYS,
)

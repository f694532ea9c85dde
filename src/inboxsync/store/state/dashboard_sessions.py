"""Which database this is, and which sessions of its dashboard have ended before their time."""

from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, text

from inboxsync.store.connection.types import new_id
from inboxsync.store.tables import dashboard_instance, ended_sessions

_MAKE = text(
    f"INSERT INTO {dashboard_instance.name} (id, instance_id) VALUES (1, :instance_id) "  # noqa: S608 - our name
    "ON CONFLICT DO NOTHING"
)


def find_instance(connection: Connection) -> str | None:
    """The random id of this database; None if nobody has needed it yet."""
    return connection.execute(select(dashboard_instance.c.instance_id)).scalar_one_or_none()


def make_instance(connection: Connection) -> str:
    """The same; it is made where there is none. Of two processes at once one makes it."""
    connection.execute(_MAKE, {"instance_id": new_id()})
    made: str = connection.execute(select(dashboard_instance.c.instance_id)).scalar_one()
    return made


def has_ended(connection: Connection, session_id: str) -> bool:
    """Whether a visitor has logged out of this session."""
    mine = select(ended_sessions.c.session_id).where(ended_sessions.c.session_id == session_id)
    return connection.execute(mine).first() is not None


def end_session(connection: Connection, session_id: str, *, now: datetime, forget_before: datetime) -> None:
    """Note that a session has ended; forget those that ended so long ago that their time is over anyway."""
    connection.execute(delete(ended_sessions).where(ended_sessions.c.ended_at < forget_before))
    if not has_ended(connection, session_id):
        connection.execute(insert(ended_sessions).values(session_id=session_id, ended_at=now))

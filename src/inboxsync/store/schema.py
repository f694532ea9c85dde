"""Sees that a database has the schema this version writes; alembic does the work.

The version is read without alembic, whose import would cost every command a tenth of
a second.
"""

from enum import Enum
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.schema import CreateSchema

from inboxsync.errors import StoreOutdated, StoreTooNew, StoreUnavailable
from inboxsync.store.connection.statements import is_postgresql
from inboxsync.store.exposure import check_visible, is_for_web_api, shut
from inboxsync.store.tables import VERSION_TABLE, metadata
from inboxsync.store.tables.views import EVENTS_VIEW

# The newest migration. A test holds it to the folder.
HEAD: Final = "0001_initial"
# Where a web API serves the tables of `public`, and no schema is named.
APART: Final = "inboxsync"
_FOLDER = Path(__file__).parent / "migrations"
# Schemas of development versions: other tables, other words.
_BEFORE_THE_FIRST_RELEASE = frozenset(f"{number:04}" for number in range(1, 9))


class Upgrade(Enum):
    """How much of a schema may be changed: none of it, a new one made, or any brought up to date."""

    NEVER = "never"
    NEW = "new"
    ANY = "any"

    @classmethod
    def of(cls, asked: bool | None, *, is_server: bool) -> "Upgrade":  # noqa: FBT001 - the caller's word
        """As asked. Unasked, a database that others may use too is not changed under them."""
        if asked is None:
            return cls.NEW if is_server else cls.ANY
        return cls.ANY if asked else cls.NEVER


def ensure(engine: Engine, *, where: str, upgrade: Upgrade, schema_name: str | None = None) -> None:
    """Bring the schema to `HEAD`, or say why not.

    Raises StoreTooNew, StoreOutdated (where `upgrade` does not allow it), StoreUnavailable where the
    names are taken by tables that are not ours.
    """
    with engine.begin() as connection:
        check_visible(connection, where=where)
        version = current_version(connection)
    if version == HEAD:
        return
    _refuse(version, where=where, upgrade=upgrade)
    with engine.connect() as connection:
        # One transaction for the look and the work: of two processes that find a new database, one makes it.
        writing = connection.execution_options(inboxsync_writes=True)
        with writing.begin():
            if is_postgresql(writing):
                _prepare_postgresql(writing, schema_name, where=where)
            version = current_version(writing)
            if version == HEAD:
                return
            _refuse(version, where=where, upgrade=upgrade)
            if version is None:
                _refuse_foreign_tables(writing, where=where)
            run_migrations(writing)
            shut(writing)


def belongs_apart(engine: Engine) -> bool:
    """Whether a new schema would be made in `public`, which a web API serves to everyone.

    Of PostgreSQL, where no schema is named. What is there already stays where it is.
    """
    with engine.begin() as connection:
        schema_name = connection.exec_driver_sql("SELECT current_schema()").scalar()
        if schema_name not in (None, "public") or not is_for_web_api(connection):
            return False
        return current_version(connection) is None


def current_version(connection: Connection) -> str | None:
    """The schema's version; None where inboxsync has never been."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    version = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 - our name
    return str(version) if version is not None else None


def run_migrations(connection: Connection) -> None:
    """Bring the schema to `HEAD`, in the caller's transaction."""
    from alembic import command  # noqa: PLC0415 - see the module's docstring
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)


def _known_versions() -> set[str]:
    return {path.stem for path in (_FOLDER / "versions").glob("[0-9]*_*.py")}


def _refuse(version: str | None, *, where: str, upgrade: Upgrade) -> None:
    if version in _BEFORE_THE_FIRST_RELEASE:
        raise StoreUnavailable(
            f"{where} was made by a version of inboxsync before its first release, and cannot be upgraded.",
            hint="Point INBOXSYNC_DATABASE_URL (or INBOXSYNC_DATABASE_SCHEMA) at a new database, "
            "add your Pages again and sync; this one is left as it is.",
        )
    if version is not None and version not in _known_versions():
        raise StoreTooNew(f"{where} was made by a newer inboxsync (schema {version}, this one knows {HEAD}).")
    if version is None and upgrade is Upgrade.NEVER:
        raise StoreOutdated(f"{where} has nothing of inboxsync's in it.")
    if version is not None and upgrade is not Upgrade.ANY:
        raise StoreOutdated(f"{where} has an older schema ({version}, not {HEAD}).")


def _prepare_postgresql(connection: Connection, schema_name: str | None, *, where: str) -> None:
    """Wait for our turn, and make the schema where it is missing."""
    # Held to the end of the transaction, so that it works through a pooler too.
    connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('inboxsync schema'))")
    if connection.exec_driver_sql("SELECT current_schema()").scalar() is not None:
        return
    if schema_name is None:
        raise StoreUnavailable(
            f"{where} has no schema that this user could make tables in.",
            hint="Name one in INBOXSYNC_DATABASE_SCHEMA.",
        )
    connection.execute(CreateSchema(schema_name, if_not_exists=True))


def _refuse_foreign_tables(connection: Connection, *, where: str) -> None:
    taken = sorted(_names_taken(connection) & {*metadata.tables, EVENTS_VIEW})
    if taken:
        elsewhere = "database, or name a new schema in INBOXSYNC_DATABASE_SCHEMA"
        raise StoreUnavailable(
            f"{where} already has a table named {taken[0]} that inboxsync did not make.",
            hint=f"Point INBOXSYNC_DATABASE_URL at an empty "
            f"{elsewhere if is_postgresql(connection) else 'database'}; this one is left as it is.",
        )


def _names_taken(connection: Connection) -> set[str]:
    if is_postgresql(connection):
        # What the search path of this transaction would have ours made beside.
        names = (
            "SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace "
            "WHERE nspname = current_schema()"
        )
        return set(connection.exec_driver_sql(names).scalars())
    inspector = inspect(connection)
    return {*inspector.get_table_names(), *inspector.get_view_names()}

"""Sees that a database has the schema this version writes; alembic does the work.

The version is read without alembic, whose import would cost every command a tenth of
a second.
"""

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, inspect, text

from inboxsync.errors import StoreOutdated, StoreTooNew, StoreUnavailable
from inboxsync.store.tables import metadata

VERSION_TABLE: Final = "inboxsync_schema_version"
# The newest migration. A test holds it to the folder.
HEAD: Final = "0002"
_FOLDER = Path(__file__).parent / "migrations"


def ensure(engine: Engine, *, where: str, upgrade: bool) -> None:
    """Bring the schema to `HEAD`, or say why not.

    Raises StoreTooNew, StoreOutdated (unless `upgrade`), StoreUnavailable where the names
    are taken by tables that are not ours.
    """
    with engine.begin() as connection:
        if current_version(connection) == HEAD:
            return
    with engine.connect() as connection:
        # One transaction for the look and the work: of two processes that find a new database, one makes it.
        writing = connection.execution_options(inboxsync_writes=True)
        with writing.begin():
            version = current_version(writing)
            if version == HEAD:
                return
            if version is not None and version not in _known_versions():
                raise StoreTooNew(
                    f"{where} was made by a newer inboxsync (schema {version}, this one knows {HEAD})."
                )
            if version is None:
                _refuse_foreign_tables(writing, where=where)
            if not upgrade:
                raise StoreOutdated(f"{where} has an older schema ({version or 'none'}, not {HEAD}).")
            run_migrations(writing)


def current_version(connection: Connection) -> str | None:
    """The schema's version; None where inboxsync has never been."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    version = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 - our name
    return str(version) if version is not None else None


def run_migrations(connection: Connection, *, to: str = HEAD) -> None:
    """Bring the schema to this version, in the caller's transaction."""
    from alembic import command  # noqa: PLC0415 - see the module's docstring
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, to)


def _known_versions() -> set[str]:
    return {path.name.split("_", 1)[0] for path in (_FOLDER / "versions").glob("[0-9]*_*.py")}


def _refuse_foreign_tables(connection: Connection, *, where: str) -> None:
    inspector = inspect(connection)
    present = {*inspector.get_table_names(), *inspector.get_view_names()}
    taken = sorted(present & {*metadata.tables, "contact_interaction_events"})
    if taken:
        raise StoreUnavailable(
            f"{where} already has a table named {taken[0]} that inboxsync did not make.",
            hint="Point INBOXSYNC_DATABASE_URL at an empty database; this one is left as it is.",
        )

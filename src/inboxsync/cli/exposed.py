"""Says who else can read or change the database."""

import stat
from pathlib import Path

from inboxsync.cli.output import print_problem, stdout, table
from inboxsync.engine import Engine
from inboxsync.store.connection.database import queue_schema
from inboxsync.store.exposure import Exposure, list_exposures

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_RIGHTS = {"r": "READ", "w": "WRITE"}


def exposures(engine: Engine) -> list[Exposure]:
    """What others can do: roles of PostgreSQL with our tables, users of the machine with our files."""
    settings = engine.settings
    has_key_file = settings.secret_key is None and settings.key_file.exists()
    of_key = _of_file(settings.key_file) if has_key_file else []
    if engine.store.file is not None:
        return _of_file(engine.store.file) + of_key
    with engine.store.read() as connection:
        found = list_exposures(connection, queue_schema=queue_schema(settings.database_schema))
    return found + of_key


def warn_exposed(engine: Engine) -> None:
    """One sentence on stderr where others can read or change the database."""
    if found := exposures(engine):
        print_problem(said(found), "`inboxsync db check` says what they can do, and how to stop it.")


def said(found: list[Exposure]) -> str:
    """Who can reach how much."""
    files = [each.name for each in found if not each.schema]
    tables = [each for each in found if each.schema]
    said_of = [f"Other users of this machine can reach {' and '.join(files)}."] if files else []
    if tables:
        roles = ", ".join(dict.fromkeys(each.role for each in tables))
        names = len({(each.schema, each.name) for each in tables})
        said_of.append(f"{roles} can reach {names:,} of inboxsync's tables.")
    return " ".join(said_of)


def print_exposures(found: list[Exposure]) -> None:
    """Who can do what, and the statements that stop it."""
    rows = table("Table", "who", "can")
    for each in found:
        rows.add_row(each.name, each.role, ", ".join(each.rights))
    console = stdout()
    console.print(rows)
    console.print("This stops it; run it as the tables' owner:")
    for statement in dict.fromkeys(each.shut_by for each in found):
        console.print(f"  {statement}", soft_wrap=True)


def _of_file(path: Path) -> list[Exposure]:
    mode = path.stat().st_mode
    letters = stat.filemode(mode & _OTHERS)[4:]
    rights = tuple(right for letter, right in _RIGHTS.items() if letter in letters)
    if not rights:
        return []
    role = "other users of this machine"
    return [Exposure(schema="", name=str(path), role=role, rights=rights, shut_by=f"chmod 600 '{path}'")]

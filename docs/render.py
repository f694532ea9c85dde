"""Writes docs/reference/ from the code: `make docs`. A test holds the pages to it."""

import html
import subprocess
import sys
from pathlib import Path

from sqlalchemy import Dialect, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable, DDLElement, SetColumnComment, SetTableComment

from inboxsync.reports.tables import TABLES
from inboxsync.store.tables import metadata
from inboxsync.store.tables.triggers import derived_ddl
from inboxsync.store.tables.views import events_view

REFERENCE = Path(__file__).parent / "reference"
_NOTICE = "<!-- Made from the code by `make docs`. -->\n\n"


def commands() -> str:
    """Every command and option, from their own help."""
    command = [sys.executable, "-m", "typer", "inboxsync.cli.app", "utils", "docs", "--name", "inboxsync"]
    made = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = (line.rstrip() for line in html.unescape(made).splitlines())
    return _NOTICE + "\n".join(lines).strip() + "\n"


def schema() -> str:
    """Every table and column with its explanation, and the view."""
    parts = [_NOTICE + "# The schema\n\nIt is in your own database, so it is a public API.\n"]
    parts += [_explained(table) for table in metadata.sorted_tables]
    parts.append(
        "\n## `contact_interaction_events`\n\nMessages as events of the contact: a view with one row "
        f"per message; no row is invented.\n\n```sql\n{events_view('sqlite')};\n```\n"
    )
    return "".join(parts)


def ddl(dialect: Dialect) -> str:
    """The SQL that creates a new database."""
    statements = []
    for table in metadata.sorted_tables:
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        elements: list[DDLElement] = [CreateTable(table), *(CreateIndex(index) for index in indexes)]
        if dialect.supports_comments:
            elements += [SetTableComment(table), *(SetColumnComment(column) for column in table.columns)]
        statements += [str(element.compile(dialect=dialect)) for element in elements]
    statements += [events_view(dialect.name), *derived_ddl(dialect.name)]
    lines = "\n".join(f"{statement.strip()};\n" for statement in statements).splitlines()
    return "".join(f"{line.rstrip()}\n" for line in lines)


def exports() -> str:
    """Every column of every export."""
    parts = [
        _NOTICE
        + "# The columns of the exports\n\nNDJSON, Parquet and `--raw` have the columns in this order, "
        "under these names. CSV and Excel have the headings, in an order for people; a time's heading names "
        "the time zone. In CSV and Excel phone numbers and e-mail addresses have a second column for the "
        "messages with them: *Messages with ...*, with `--raw` `..._message_ids`, beside the values.\n"
    ]
    for what, columns in TABLES.items():
        rows = "".join(
            f"| `{each.name}` | {each.heading} | {each.kind.value} | {each.meaning} |\n"
            for each in columns.columns
        )
        heads = "| column | heading | type | |\n| --- | --- | --- | --- |\n"
        parts.append(f"\n## `inboxsync export {what}`\n\n{heads}{rows}")
    return "".join(parts)


def _explained(table: Table) -> str:
    rows = "".join(
        f"| `{column.name}` | {_type(column.type)} | {column.comment} |\n" for column in table.columns
    )
    return f"\n## `{table.name}`\n\n{table.comment}.\n\n| column | type | |\n| --- | --- | --- |\n{rows}"


def _type(kind: object) -> str:
    name = type(kind).__name__
    return {"UtcDateTime": "time (UTC)", "JsonText": "JSON"}.get(name, name.lower())


PAGES = {
    "commands.md": commands,
    "exports.md": exports,
    "schema.md": schema,
    "schema.sqlite.sql": lambda: ddl(sqlite.dialect()),
    "schema.postgresql.sql": lambda: ddl(postgresql.dialect()),
}

if __name__ == "__main__":
    for name, make in PAGES.items():
        (REFERENCE / name).write_text(make(), encoding="utf-8")

"""`inboxsync db`."""

import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from typing import Annotated

import structlog
import typer
from pydantic import SecretStr

from inboxsync.cli.exposed import exposures, print_exposures, said, warn_exposed
from inboxsync.cli.output import (
    FAILED,
    NEEDS_PERSON,
    PARTIAL,
    print_error,
    print_json,
    print_problem,
    stdout,
    table,
)
from inboxsync.cli.process import Interrupted, open_engine
from inboxsync.cli.progress import counting, derive_all
from inboxsync.errors import SettingsInvalid, StoreUnreachable
from inboxsync.settings import load_settings
from inboxsync.store import Store
from inboxsync.store.connection.database import has_password
from inboxsync.store.copying import Copied, CopyProgress, copy_store
from inboxsync.store.schema import HEAD

log = structlog.get_logger("inboxsync.copy")

app = typer.Typer(help="The database itself.", no_args_is_help=True)

# Instead of a URL: it comes from the environment, or is asked for.
_ASK = "-"

Schema = Annotated[
    str | None, typer.Option(help="The schema, if it is a PostgreSQL database.", metavar="NAME")
]


@app.command()
def upgrade() -> None:
    """Bring the database's schema up to date. SQLite databases are upgraded automatically."""
    with open_engine() as engine, closing(engine.open_store(upgrade=True)) as store:
        where = store.where
        warn_exposed(engine)
    stdout().print(f"{where} has schema {HEAD}, the newest this version knows.")


@app.command()
def check(*, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Say who else can read or change what is stored, and how to stop that. Changes nothing.

    Exit code 4: somebody can.
    """
    with open_engine() as engine:
        where = engine.store.where
        found = exposures(engine)
    if as_json:
        print_json({"exposed": [asdict(each) for each in found]})
    elif found:
        print_exposures(found)
        print_problem(said(found), f"That is {where}.")
    else:
        stdout().print(f"{where}: no other role can read or change what inboxsync stores.")
    if found:
        raise typer.Exit(NEEDS_PERSON)


@app.command()
def copy(
    from_url: Annotated[
        str, typer.Argument(metavar="[FROM_URL]", help="The database to read; nothing in it is changed.")
    ] = _ASK,
    to_url: Annotated[
        str,
        typer.Argument(metavar="[TO_URL]", help="The database to fill: empty, or left by an earlier copy."),
    ] = _ASK,
    from_schema: Schema = None,
    to_schema: Schema = None,
) -> None:
    """Copy everything into another database, and compare both. If it is interrupted, run it again.

    Others on this machine see what is typed here, so no URL may have a password. Leave such a URL out, or
    write - instead: it is taken from INBOXSYNC_COPY_FROM_URL or INBOXSYNC_COPY_TO_URL, else you are asked.
    """
    stores = {"source_schema": from_schema, "target_schema": to_schema}
    settings = load_settings()
    from_url = _url(from_url, settings.copy_from_url, "INBOXSYNC_COPY_FROM_URL")
    to_url = _url(to_url, settings.copy_to_url, "INBOXSYNC_COPY_TO_URL")
    with (
        open_engine(settings) as engine,
        engine.stores_to_copy(from_url, to_url, **stores) as (source, target),
    ):
        try:
            copied = _copy(source, target)
            # Derived data is not copied but computed again. If this is stopped, the next search continues it.
            derive_all(engine, target)
        except Interrupted:
            print_problem("Stopped: what was copied stays.", "Run the same command again: it continues.")
            raise typer.Exit(PARTIAL) from None
        except StoreUnreachable as error:
            print_error(error)
            raise typer.Exit(PARTIAL) from None
    _print_copied(copied, target.where)
    if not all(each.is_equal for each in copied):
        raise typer.Exit(FAILED)


def _url(typed: str, from_environment: SecretStr | None, variable: str) -> str:
    """The URL of a database, without its password in the list of processes.

    Raises SettingsInvalid if it has one there, or if there is none.
    """
    if typed != _ASK:
        if has_password(typed):
            raise SettingsInvalid(
                "The URL has a password, which others on this machine can see on a command line.",
                hint=f"Write - in its place, and set {variable}, or type it when you are asked. "
                "Others may have seen this password: change it.",
            )
        return typed
    if from_environment is not None:
        return from_environment.get_secret_value()
    what = "The database to read" if variable.endswith("FROM_URL") else "The database to fill"
    asks = sys.stdin.isatty()
    line = typer.prompt(f"{what} (URL)", hide_input=True, err=True) if asks else sys.stdin.readline()
    if not (url := str(line).strip()):
        raise SettingsInvalid(f"{what} is not named.", hint=f"Set {variable}, or write its URL to stdin.")
    return url


def _copy(source: Store, target: Store) -> list[Copied]:
    """Raises Interrupted where a signal asks to stop."""
    logged: set[tuple[str, str, int]] = set()
    draws = sys.stderr.isatty()
    with counting(stays=True, draws=draws) as count:

        def show(progress: CopyProgress) -> None:
            count(f"{progress.doing} {progress.table}", progress.done, progress.total)
            if draws or not progress.total:
                return
            # A line for each tenth of a table.
            at = (progress.doing, progress.table, 10 * progress.done // progress.total)
            if at not in logged:
                logged.add(at)
                event = f"{progress.doing} table"
                log.info(event, table=progress.table, done=progress.done, total=progress.total)

        return copy_store(source, target, on_progress=show)


def _print_copied(copied: Sequence[Copied], where: str) -> None:
    """The comparison, table by table."""
    rows = table("Table", "Rows", "Rows there", "Checksum", "Checksum there", "")
    for each in copied:
        rows.add_row(
            each.table,
            f"{each.source_rows:,}",
            f"{each.target_rows:,}",
            each.source_checksum[:12],
            each.target_checksum[:12],
            "equal" if each.is_equal else "DIFFERENT",
        )
    console = stdout()
    console.print(rows)
    if replaced := sum(each.replaced for each in copied):
        console.print(
            f"In {replaced:,} rows U+0000, which PostgreSQL cannot store, became U+FFFD; `extra` says so."
        )
    different = [each.table for each in copied if not each.is_equal]
    if different:
        print_problem(
            f"{where} differs from the source: {', '.join(different)}.",
            "Check that nothing else writes to it, and start again with an empty database.",
        )
    else:
        console.print(f"{where} has everything that the source has.")

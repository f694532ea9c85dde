"""`inboxsync db`."""

import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Annotated

import typer

from inboxsync.cli.copying import Bar, CopyStopped, LogLines, print_copied
from inboxsync.cli.derive import derive_all
from inboxsync.cli.exit_codes import FAILED, PARTIAL
from inboxsync.cli.opening import open_engine
from inboxsync.cli.output import print_error, print_problem, stderr, stdout
from inboxsync.errors import StoreUnreachable
from inboxsync.store.copying import copy_store
from inboxsync.store.schema import HEAD

app = typer.Typer(help="The database itself.", no_args_is_help=True)

Schema = Annotated[str | None, typer.Option(help="Schema of a PostgreSQL database there.", metavar="NAME")]


@app.command()
def upgrade() -> None:
    """Bring the database's schema up to date. An embedded database does this by itself."""
    with open_engine() as engine, closing(engine.open_store(upgrade=True)) as store:
        where = store.where
    stdout().print(f"{where} has schema {HEAD}, the newest this version knows.")


@app.command()
def copy(
    from_url: Annotated[str, typer.Argument(help="The database to read; nothing in it is changed.")],
    to_url: Annotated[str, typer.Argument(help="The database to fill: empty, or what an earlier copy left.")],
    from_schema: Schema = None,
    to_schema: Schema = None,
) -> None:
    """Copy everything into another database, and compare the two. Interrupted, it goes on when run again."""
    stores = {"source_schema": from_schema, "target_schema": to_schema}
    with open_engine() as engine, engine.stores_to_copy(from_url, to_url, **stores) as (source, target):
        try:
            with (
                Bar(stderr()) if sys.stderr.isatty() else LogLines() as watcher,
                _stopped_by_signals(watcher),
            ):
                copied = copy_store(source, target, on_progress=watcher.on_progress)
            # Not copied but made anew; stopped here, the next search or export goes on.
            derive_all(engine, target)
        except CopyStopped:
            print_problem("Stopped: what was copied stays.", "Run the same command again: it goes on.")
            raise typer.Exit(PARTIAL) from None
        except StoreUnreachable as error:
            print_error(error)
            raise typer.Exit(PARTIAL) from None
    print_copied(copied, target.where)
    if not all(table.is_equal for table in copied):
        raise typer.Exit(FAILED)


@contextmanager
def _stopped_by_signals(watcher: Bar | LogLines) -> Iterator[None]:
    """SIGINT and SIGTERM end the copy at its next batch; a second one at once."""

    def ask(number: int, _frame: object) -> None:
        watcher.is_stopped = True
        signal.signal(number, signal.SIG_DFL)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

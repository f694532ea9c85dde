"""`inboxsync db`."""

from contextlib import closing

import typer

from inboxsync.cli.opening import open_engine
from inboxsync.cli.output import stdout
from inboxsync.store.schema import HEAD

app = typer.Typer(help="The database itself.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `upgrade` a command of its own while it is the only one."""


@app.command()
def upgrade() -> None:
    """Bring the database's schema up to date. An embedded database does this by itself."""
    with open_engine() as engine, closing(engine.open_store(upgrade=True)) as store:
        where = store.where
    stdout().print(f"{where} has schema {HEAD}, the newest this version knows.")

"""`inboxsync keys`."""

from typing import Annotated

import typer

from inboxsync.cli.options import AsJsonArray
from inboxsync.cli.output import local, print_json, some, stdout, table
from inboxsync.cli.process import open_engine
from inboxsync.model import Scope
from inboxsync.store.state.credentials import create_api_key, list_api_keys, revoke_api_key

app = typer.Typer(help="Keys to the HTTP service, and the key that encrypts tokens.", no_args_is_help=True)


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is for. A name cannot be used again.")],
    *,
    scope: Annotated[
        Scope,
        typer.Option(
            help="read: only read; sync: also start and cancel runs; admin: also add and remove Pages."
        ),
    ] = Scope.READ,
) -> None:
    """Make a key and print it. Only its digest is stored, so it cannot be shown again."""
    with open_engine() as engine, engine.store.write() as connection:
        key, text = create_api_key(connection, name=name, scope=scope, now=engine.clock.now())
    # Only the key on stdout, so that a script can use it.
    typer.echo(text)
    typer.echo(
        f"Keep it: it is not shown again. Its scope is {key.scope}, and it begins with {key.prefix}.",
        err=True,
    )


@app.command("list")
def list_(*, as_json: AsJsonArray = False) -> None:
    """Show every key that was made: how it begins, never the whole key."""
    with open_engine() as engine, engine.store.read() as connection:
        keys = list_api_keys(connection)
    if as_json:
        print_json(
            [
                {
                    "name": key.name,
                    "scope": key.scope.value,
                    "prefix": key.prefix,
                    "created_at": key.created_at,
                    "revoked_at": key.revoked_at,
                }
                for key in keys
            ]
        )
        return
    if not keys:
        stdout().print("No key yet: the HTTP service only answers this machine.")
        stdout().print("Make one with `inboxsync keys create NAME`.")
        return
    zone = engine.clock.zone
    rows = table("Name", "scope", "begins", "made", "revoked")
    for key in keys:
        revoked = local(key.revoked_at, zone) if key.revoked_at else ""
        rows.add_row(key.name, key.scope.value, key.prefix, local(key.created_at, zone), revoked)
    stdout().print(rows)


@app.command()
def revoke(name: Annotated[str, typer.Argument(metavar="NAME", help="As `keys list` shows it.")]) -> None:
    """Make a key invalid. A running service knows it within a second."""
    with open_engine() as engine, engine.store.write() as connection:
        key = revoke_api_key(connection, name, now=engine.clock.now())
    since = local(key.revoked_at, engine.clock.zone)
    stdout().print(f"Revoked: {key.name} ({key.prefix}) is not valid since {since}.")


@app.command("rotate-secret")
def rotate_secret() -> None:
    """Encrypt all tokens with a new secret key, all or none: INBOXSYNC_NEW_SECRET_KEY, else a new key file.

    If it is interrupted, run it again. Restart services and workers then: they use the old key.
    """
    with open_engine() as engine:
        counts, key_file = engine.rotate_secret()
    console = stdout()
    console.print(f"Encrypted with the new key: {some(counts.done, 'token')}.")
    if counts.unknown:
        console.print(
            f"  {some(counts.unknown, 'token')} could not be decrypted before, and stay as they are."
        )
        console.print("  Add those Pages again with `inboxsync pages add PAGE_ID`.")
    console.print(
        f"  The new key is in {key_file}."
        if key_file is not None
        else "  Now set INBOXSYNC_SECRET_KEY to the new key, everywhere."
    )
    console.print("  Restart services and workers: they use the old key until then.")

"""`inboxsync demo`: a whole sync, from a sandbox of its own."""

import asyncio
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from inboxsync.cli.output import own_command, print_command, stdout
from inboxsync.cli.process import open_engine
from inboxsync.cli.run_output import exit_code_of_runs, print_outcome
from inboxsync.cli.serve import serve_until_asked
from inboxsync.cli.sync import sync_pages
from inboxsync.engine import Engine
from inboxsync.model import Page, Platform, RunStatus
from inboxsync.settings import Settings, load_settings
from inboxsync.store.state.pages import PageCounts, count_page, list_pages
from inboxsync.sync import Outcome

_END_SECONDS = 10
_PORT = 8000
_BEGUN_AT = "begun_at"


def demo(
    *,
    conversations: Annotated[
        int | None,
        typer.Option(min=1, help="How many the sandbox Page has. Default: 10,000, or the whole data set."),
    ] = None,
    dataset: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Serve these real conversations (NDJSON, may be gzipped)."),
    ] = None,
    fast: Annotated[bool, typer.Option("--fast", help="Without Meta's limit of 2 calls a second.")] = False,
    reset: Annotated[bool, typer.Option("--reset", help="First delete what an earlier demo stored.")] = False,
    serve: Annotated[
        bool, typer.Option("--serve", help="Then serve the dashboard on what is stored, until Ctrl-C.")
    ] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Of the dashboard; 0 takes a free one.")
    ] = _PORT,
) -> None:
    """Sync a sandbox Page. It needs no setup, and nothing is sent to Meta.

    The sandbox imitates Meta's Graph API in a process of its own. What is synced stays in a
    database for demos, so a second demo only reads what is new.
    """
    settings = _settings()
    if reset:
        _delete(settings)
    with _sandbox(conversations, dataset, fast=fast, newest_at=_begun_at(settings)) as ready:
        settings = settings.model_copy(update=_source(ready, fast=fast))
        with open_engine(settings) as engine:
            page = _added_page(engine, ready)
            stored = _stored(engine, page).conversations
            _introduce(ready, page, stored, fast=fast)
            (ended,) = sync_pages(
                engine,
                [page],
                options=engine.sync_options(),
                max_duration_seconds=None,
                expected=_conversations(ready) - stored if page.last_synced_at is None else None,
            )
            _report(engine, ended, ready, serves=serve)
            if serve:
                os.environ |= _environment(settings)
                serve_until_asked(engine, host="127.0.0.1", port=port, has_worker=True)
    raise typer.Exit(exit_code_of_runs([ended.run]))


@contextmanager
def _sandbox(
    conversations: int | None, dataset: Path | None, *, fast: bool, newest_at: datetime
) -> Iterator[dict[str, Any]]:
    """A sandbox in a process of its own, with messages up to `newest_at`; yields its ready line."""
    command = [sys.executable, "-m", "inboxsync", "sandbox", "--ends-with-parent"]
    command += ["--set", f"newest_at={int(newest_at.timestamp())}"]
    if conversations is not None:
        command += ["--conversations", str(conversations)]
    if dataset is not None:
        command += ["--dataset", str(dataset)]
    if fast:
        command += ["--no-limits"]
    # A session of its own: Ctrl-C is meant for the sync, which may still wait for an answer.
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:  # noqa: S603 - ourselves
        try:
            line = process.stdout.readline() if process.stdout else b""
            if not line:
                # It has printed why, in one sentence.
                raise typer.Exit(process.wait())
            yield msgspec.json.decode(line)
        finally:
            process.terminate()
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _settings() -> Settings:
    """The environment's settings, with a database and a key only for demos."""
    own = load_settings()
    changes = {"data_dir": own.data_dir / "demo", "database_url": "", "secret_key": None}
    return own.model_copy(update=changes)


def _source(ready: dict[str, Any], *, fast: bool) -> dict[str, Any]:
    """What the settings say of the source."""
    return {"graph_url": ready["url"]} | ({"calls_per_second": 0.0} if fast else {})


def _environment(settings: Settings) -> dict[str, str]:
    """The same settings, for the worker that the service starts."""
    return {
        "INBOXSYNC_DATA_DIR": str(settings.data_dir),
        "INBOXSYNC_DATABASE_URL": "",
        "INBOXSYNC_GRAPH_URL": settings.graph_url,
        "INBOXSYNC_SECRET_KEY": "",
        "INBOXSYNC_CALLS_PER_SECOND": str(settings.calls_per_second),
    }


def _begun_at(settings: Settings) -> datetime:
    """When the first demo began: the sandbox's messages end there, in each later one too."""
    path = settings.data_dir / _BEGUN_AT
    if path.is_file():
        return datetime.fromisoformat(path.read_text(encoding="ascii"))
    begun_at = datetime.now(UTC)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.write_text(begun_at.isoformat(), encoding="ascii")
    return begun_at


def _delete(settings: Settings) -> None:
    for name in ("inboxsync.db", "inboxsync.db-wal", "inboxsync.db-shm", _BEGUN_AT):
        (settings.data_dir / name).unlink(missing_ok=True)


def _added_page(engine: Engine, ready: dict[str, Any]) -> Page:
    with engine.store.read() as connection:
        known = [page for page in list_pages(connection) if page.facebook_page_id == ready["page_id"]]
    if known:
        return known[0]
    page, _ = asyncio.run(
        engine.add_page(ready["page_id"], platform=Platform.MESSENGER, token=ready["token"], name=None)
    )
    return page


def _introduce(ready: dict[str, Any], page: Page, stored: int, *, fast: bool) -> None:
    call_rate = "without limits" if fast else "at Meta's call rate, 2 calls a second"
    console = stdout()
    console.print(f"A sandbox Page with {_conversations(ready):,} conversations, {call_rate}.")
    for note in ready.get("notes", ()):
        console.print(f"  {note}")
    if page.last_synced_at is not None:
        console.print("  An earlier demo has stored it: this one reads what is new. --reset starts over.")
    elif stored:
        console.print(
            f"  An earlier demo has stored {stored:,} of them: this one continues. --reset starts over."
        )


def _report(engine: Engine, ended: Outcome, ready: dict[str, Any], *, serves: bool) -> None:
    words = [word for word in sys.argv[1:] if word not in ("--reset", "--serve")]
    again = shlex.join([own_command(), *words])
    run = replace(ended.run, next=again if ended.run.next else None)
    # The sandbox's older messages are of no interest: it ends with the demo.
    print_outcome(replace(ended, run=run, unfinished=replace(ended.unfinished, older=None)))
    stored = _stored(engine, ended.page)
    console = stdout()
    console.print(
        f"  Stored: {stored.conversations:,} of the sandbox's {_conversations(ready):,} conversations, "
        f"{stored.messages:,} messages of {stored.contacts:,} contacts."
    )
    if run.status is not RunStatus.COMPLETE or serves:
        return
    own = own_command()
    console.print()
    console.print("Try next:", style="bold")
    for what, lines in (
        ("The dashboard, on what was just synced", [f"{again} --serve"]),
        (
            "A search and an Excel file",
            [
                f"export INBOXSYNC_DATA_DIR={shlex.quote(str(engine.settings.data_dir))}",
                f"{own} search refund",
                f"{own} export conversations -o demo.xlsx",
            ],
        ),
        (
            "A real Page, in a new terminal; the README explains how to get its token",
            [f"{own} pages add PAGE_ID"],
        ),
    ):
        console.print(f"  {what}:")
        for line in lines:
            print_command(console, f"  {line}")


def _stored(engine: Engine, page: Page) -> PageCounts:
    with engine.store.read() as connection:
        return count_page(connection, page)


def _conversations(ready: dict[str, Any]) -> int:
    return int(ready["pages"][0]["conversations"])

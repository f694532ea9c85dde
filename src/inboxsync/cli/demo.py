"""`inboxsync demo`: a whole sync, from a sandbox of its own."""

import asyncio
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from inboxsync.cli.output import own_command, stdout
from inboxsync.cli.process import open_engine
from inboxsync.cli.run_output import exit_code_of_runs, print_outcome
from inboxsync.cli.sync import sync_pages
from inboxsync.engine import Engine
from inboxsync.model import Page, Platform, RunStatus
from inboxsync.settings import Settings, load_settings
from inboxsync.store.state.pages import PageCounts, count_page, list_pages
from inboxsync.sync import Outcome

_END_SECONDS = 10
_QUERY = "SELECT sender_name, last_message FROM messenger_conversations LIMIT 10"


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
) -> None:
    """Sync a sandbox Page. It needs no setup, and nothing is sent to Meta.

    The sandbox imitates Meta's Graph API in a process of its own. What is synced stays in a
    database for demos, so a second demo only reads what is new.
    """
    with _sandbox(conversations, dataset, fast=fast) as ready:
        settings = _settings(ready, fast=fast)
        if reset:
            _delete(settings)
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
            _report(engine, ended, ready)
    raise typer.Exit(exit_code_of_runs([ended.run]))


@contextmanager
def _sandbox(conversations: int | None, dataset: Path | None, *, fast: bool) -> Iterator[dict[str, Any]]:
    """A sandbox in a process of its own; yields its ready line."""
    command = [sys.executable, "-m", "inboxsync", "sandbox", "--ends-with-parent"]
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


def _settings(ready: dict[str, Any], *, fast: bool) -> Settings:
    """The environment's settings, with a database and a key only for demos."""
    own = load_settings()
    changes: dict[str, Any] = {
        "data_dir": own.data_dir / "demo",
        "database_url": "",
        "graph_url": ready["url"],
        "secret_key": None,
    }
    if fast:
        changes["calls_per_second"] = 0.0
    return own.model_copy(update=changes)


def _delete(settings: Settings) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{settings.data_dir / 'inboxsync.db'}{suffix}").unlink(missing_ok=True)


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


def _report(engine: Engine, ended: Outcome, ready: dict[str, Any]) -> None:
    again = shlex.join([own_command(), *(word for word in sys.argv[1:] if word != "--reset")])
    run = replace(ended.run, next=again if ended.run.next else None)
    # The sandbox's older messages are of no interest: it ends with the demo.
    print_outcome(replace(ended, run=run, unfinished=replace(ended.unfinished, older=None)))
    stored = _stored(engine, ended.page)
    console = stdout()
    console.print(
        f"  Stored: {stored.conversations:,} of the sandbox's {_conversations(ready):,} conversations, "
        f"{stored.messages:,} messages of {stored.contacts:,} contacts."
    )
    if run.status is not RunStatus.COMPLETE:
        return
    database = engine.settings.data_dir / "inboxsync.db"
    console.print()
    console.print("Try next:", style="bold")
    for what, how in (
        ("Again: one call, nothing new", again),
        ("What is stored, in SQL", shlex.join(["sqlite3", str(database), _QUERY])),
        ("A real Page; the README explains how to get its token", f"{own_command()} pages add PAGE_ID"),
    ):
        console.print(f"  {what}:")
        console.print(f"    {how}", soft_wrap=True)  # to be copied, so without line breaks of ours


def _stored(engine: Engine, page: Page) -> PageCounts:
    with engine.store.read() as connection:
        return count_page(connection, page)


def _conversations(ready: dict[str, Any]) -> int:
    return int(ready["pages"][0]["conversations"])

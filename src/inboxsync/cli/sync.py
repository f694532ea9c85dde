"""`inboxsync sync`."""

import math
from collections.abc import Sequence
from typing import Annotated

import typer

from inboxsync.cli.derive import derive_after_sync
from inboxsync.cli.exit_codes import exit_code_of_runs
from inboxsync.cli.interpreter import set_for_syncing
from inboxsync.cli.opening import open_engine
from inboxsync.cli.output import (
    outcome_as_json,
    page_name,
    print_command,
    print_json,
    print_outcome,
    run_as_json,
    stdout,
)
from inboxsync.cli.syncing import sync_pages
from inboxsync.engine import Engine
from inboxsync.errors import PageUnknown, SettingsInvalid
from inboxsync.model import History, Mode, Page, Run, RunKind, RunRequest, RunStatus
from inboxsync.store.state.pages import find_pages, list_pages
from inboxsync.workers import RunQueue

LONGEST_SECONDS = 366 * 86_400


def sync(
    page_ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="PAGE_ID", help="Meta's id of a Page, or ours; all Pages without any."),
    ] = None,
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a Page, last on stdout.")
    ] = False,
    mode: Annotated[
        Mode, typer.Option(help="auto continues, then reads what is new; full reads everything again.")
    ] = Mode.AUTO,
    messages: Annotated[
        int, typer.Option(min=1, max=100, help="Newest messages to fetch with each conversation.")
    ] = 10,
    max_conversations: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many conversations; the next run goes on.")
    ] = None,
    max_duration: Annotated[
        float | None,
        typer.Option(
            min=1, max=LONGEST_SECONDS, metavar="SECONDS", help="Stop after so long; the next run goes on."
        ),
    ] = None,
    history: Annotated[
        History | None,
        typer.Option(
            help="all keeps every message of every conversation from now on; newest (the default) the "
            "newest of each and all that come after."
        ),
    ] = None,
    all_pages: Annotated[
        bool, typer.Option("--all", help="All Pages, as without any PAGE_ID; says so in a script.")
    ] = False,
    parallel: Annotated[
        int, typer.Option(min=1, max=1000, help="How many Pages to sync side by side, each at its own pace.")
    ] = 8,
    enqueue: Annotated[
        bool,
        typer.Option(
            "--enqueue", help="Hand the runs to the workers instead; they go on by themselves until complete."
        ),
    ] = False,
    wait: Annotated[
        bool,
        typer.Option("--wait", help="Where another process is at the Page already, wait for that to end."),
    ] = False,
) -> None:
    """Copy what is new: the first time everything, later what has changed since.

    Stop it any time with Ctrl-C: what was fetched is stored, and the next run goes on.
    A Page that another process syncs or verifies is left to it (exit code 0), unless --wait.
    Exit codes: 0 complete, 3 partial (run again to go on), 4 a person must act on the
    token or a permission, 1 failed, 2 usage.
    """
    if max_duration is not None and math.isnan(max_duration):
        raise SettingsInvalid("--max-duration is no number of seconds.", hint="Write it as 270.")
    if all_pages and page_ids:
        raise SettingsInvalid("--all and a PAGE_ID exclude each other.", hint="Give one of them.")
    with open_engine() as engine:
        with engine.store.read() as connection:
            pages = find_pages(connection, page_ids) if page_ids else list_pages(connection)
        if not pages:
            raise PageUnknown(
                "No Page has been added yet.", hint="Add one with `inboxsync pages add PAGE_ID`."
            )
        if enqueue:
            request = RunRequest(
                mode=mode,
                messages=messages,
                max_conversations=max_conversations,
                max_duration_seconds=max_duration,
                history=history,
            )
            _enqueue(engine, pages, request, as_json=as_json)
            return
        set_for_syncing()
        options = engine.sync_options(
            mode=mode, messages=messages, max_conversations=max_conversations, history=history, wait=wait
        )
        ended = sync_pages(
            engine, pages, options=options, max_duration_seconds=max_duration, parallel=parallel
        )
        for outcome in ended:
            if as_json:
                print_json(outcome_as_json(outcome))
            else:
                print_outcome(outcome)
        derive_after_sync(engine)
    raise typer.Exit(exit_code_of_runs(outcome.run for outcome in ended))


def _enqueue(engine: Engine, pages: Sequence[Page], request: RunRequest, *, as_json: bool) -> None:
    queue = RunQueue(engine)
    for page in pages:
        run = queue.submit(page, request)
        if as_json:
            print_json(run_as_json(run))
            continue
        stdout().print(f"{_enqueued(run)}: {page_name(page)} ({page.platform}).")
        if run.kind is RunKind.SYNC and run.request != request:
            stdout().print("  That run was asked for otherwise. Hand yours over again once it has ended.")
        print_command(stdout(), f"Next: inboxsync runs show {run.id} --follow")


def _enqueued(run: Run) -> str:
    if run.kind is RunKind.VERIFY:
        return "Synced when it is due, after the verification that the workers have"
    return "Queued" if run.status is RunStatus.QUEUED else "Under way already"

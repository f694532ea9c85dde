"""`inboxsync runs`."""

import time
from datetime import tzinfo
from typing import Annotated

import typer

from inboxsync.cli.completion import complete_run
from inboxsync.cli.options import AsJsonArray
from inboxsync.cli.output import local, print_json, some, stdout, table
from inboxsync.cli.process import open_engine
from inboxsync.cli.run_output import exit_code_of_runs, print_run, run_as_json
from inboxsync.engine import Engine
from inboxsync.errors import RunUnknown, StoreUnreachable
from inboxsync.model import Run, RunEvent
from inboxsync.store.state.pages import stored_id
from inboxsync.store.state.runs import get_run, list_run_events, list_runs
from inboxsync.sync import describe_stage
from inboxsync.workers import RunQueue

_POLL_SECONDS = 0.5
_EVENTS = 500
_PATIENCE_SECONDS = 30.0

RunId = Annotated[
    str,
    typer.Argument(
        metavar="RUN_ID",
        help="The run's id, as `inboxsync runs` shows it.",
        callback=stored_id,
        autocompletion=complete_run,
    ),
]

app = typer.Typer(help="Past and open runs.", invoke_without_command=True)


@app.callback()
def runs(
    context: typer.Context,
    *,
    as_json: AsJsonArray = False,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many, the newest first.")] = 20,
) -> None:
    """Show past and open runs: what each did and how it ended."""
    if context.invoked_subcommand is not None:
        return
    with open_engine() as engine, engine.store.read() as connection:
        found = list_runs(connection, limit=limit)
    if as_json:
        print_json([run_as_json(run) for run in found])
        return
    if not found:
        stdout().print("No run yet. Start one with `inboxsync sync`.")
        return
    rows = table("Run and Page", "started", "ended")
    for run in found:
        rows.add_row(*_cells(run, engine.clock.zone))
    stdout().print(rows)


@app.command()
def show(
    run_id: RunId,
    *,
    follow: Annotated[bool, typer.Option("--follow", help="Show its events until it has ended.")] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print one JSON object; with --follow first one line for each event."),
    ] = False,
) -> None:
    """Show one run, on any worker. With --follow its events are shown live.

    Exit codes are those of `inboxsync sync`; 3 for a run that has not ended.
    """
    with open_engine() as engine:
        run = _get(engine, run_id)
        if follow:
            run = _follow(engine, run, as_json=as_json)
    if as_json:
        print_json(run_as_json(run))
    else:
        print_run(run)
    raise typer.Exit(exit_code_of_runs([run]))


@app.command()
def cancel(
    run_id: RunId,
) -> None:
    """End a run at its next batch, on any worker. What was fetched stays stored."""
    with open_engine() as engine:
        run = RunQueue(engine).cancel(run_id)
    if run.status.is_open:
        stdout().print(f"The run of Page {run.facebook_page_id} will end at its next batch.")
    else:
        stdout().print(f"The run of Page {run.facebook_page_id} has ended: {run.status.value}.")


def _follow(engine: Engine, run: Run, *, as_json: bool) -> Run:
    seq, unreachable_since = 0, None
    while True:
        try:
            found, events = _poll(engine, run.id, after=seq)
        except StoreUnreachable:
            # The run itself waits for the database as long.
            unreachable_since = unreachable_since or time.monotonic()
            if time.monotonic() - unreachable_since > _PATIENCE_SECONDS:
                raise
            time.sleep(_POLL_SECONDS)
            continue
        if found is None:
            raise RunUnknown(f"Run {run.id} does not exist any more.", hint="Its Page was removed.")
        unreachable_since = None
        for event in events:
            seq = event.seq
            _print_event(event, engine.clock.zone, as_json=as_json)
        # Read in one transaction: a run that has ended has its last event.
        if not found.status.is_open and len(events) < _EVENTS:
            return found
        time.sleep(0 if len(events) == _EVENTS else _POLL_SECONDS)


def _poll(engine: Engine, run_id: str, *, after: int) -> tuple[Run | None, list[RunEvent]]:
    with engine.store.read() as connection:
        return get_run(connection, run_id), list_run_events(connection, run_id, after=after, limit=_EVENTS)


def _print_event(event: RunEvent, zone: tzinfo, *, as_json: bool) -> None:
    if as_json:
        print_json({"seq": event.seq, "at": event.at, "status": event.status, **event.data})
        return
    data = event.data
    parts = [f"{event.at.astimezone(zone):%H:%M:%S}", f"{event.status:<13}"]
    if isinstance(share := data.get("progress"), int | float):
        parts.append(f"{share * 100:3.0f} %")
    if "differences" in data:
        parts.append(f"{data.get('fetched', 0):,} compared, {data['differences']:,} different")
    else:
        parts.append(f"{data.get('fetched', 0):,} conversations, {data.get('eventsCreated', 0):,} messages")
    parts += [each for each in (describe_stage(data, zone), str(data.get("message") or "")) if each]
    stdout().print("  ".join(parts), soft_wrap=True)


def _get(engine: Engine, run_id: str) -> Run:
    with engine.store.read() as connection:
        run = get_run(connection, run_id)
    if run is None:
        raise RunUnknown(f"There is no run {run_id}.")
    return run


def _cells(run: Run, zone: tzinfo) -> list[str]:
    """A run's row: three columns of three lines, since its id alone takes half a line of a terminal."""
    counts = run.counts
    what = run.mode if run.kind == "sync" else run.kind
    ended = f"{run.status.value} in {run.duration_seconds:,.0f} s" if run.finished_at else run.status.value
    return [
        f"{run.id}\n{run.facebook_page_id}\n{run.platform}",
        f"{local(run.started_at, zone)}\n{what}\n{some(run.calls, 'call')}",
        f"{ended}\n{counts.fetched:,} fetched, {counts.inserted:,} new\n{some(counts.events, 'message')}",
    ]

"""`inboxsync runs`."""

from typing import Annotated

import typer

from inboxsync.cli.opening import open_engine
from inboxsync.cli.output import local, print_json, run_as_json, stdout, table
from inboxsync.model import Run
from inboxsync.store.runs import list_runs


def runs(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many, the newest first.")] = 20,
) -> None:
    """Show past runs: what each did and how it ended."""
    with open_engine() as engine, engine.store.read() as connection:
        found = list_runs(connection, limit=limit)
    if as_json:
        print_json([run_as_json(run) for run in found])
        return
    if not found:
        stdout().print("No run yet. Start one with `inboxsync sync`.")
        return
    rows = table("Page", "started", "ended", "fetched", "new", "messages", "calls")
    for run in found:
        rows.add_row(*_cells(run))
    stdout().print(rows)


def _cells(run: Run) -> list[str]:
    counts = run.counts
    numbers = (counts.fetched, counts.inserted, counts.events, run.calls)
    return [
        f"{run.facebook_page_id}\n{run.platform}",
        f"{local(run.started_at)}\n{run.mode}",
        run.status.value + (f"\nin {run.duration_seconds:,.0f} s" if run.finished_at else ""),
        *(f"{number:,}" for number in numbers),
    ]

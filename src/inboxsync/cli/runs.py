"""`inboxsync runs`."""

from typing import Annotated

import typer

from inboxsync.cli.opening import open_engine
from inboxsync.cli.output import print_json, run_as_json, stdout, table
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
    rows = table(
        "started", "Page", "mode", "ended", "fetched", "new", "changed", "messages", "calls", "seconds"
    )
    for run in found:
        rows.add_row(*_cells(run))
    stdout().print(rows)


def _cells(run: Run) -> list[str]:
    counts = run.counts
    return [
        f"{run.started_at.astimezone():%Y-%m-%d %H:%M:%S}",
        f"{run.facebook_page_id} ({run.platform})",
        run.mode.value,
        run.status.value if run.finished_at else "not ended",
        f"{counts.fetched:,}",
        f"{counts.inserted:,}",
        f"{counts.updated:,}",
        f"{counts.events:,}",
        f"{run.calls:,}",
        f"{run.duration_seconds:,.1f}",
    ]

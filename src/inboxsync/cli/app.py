"""The command tree, and what happens to an error that no command handles."""

import os
import sys
from io import BufferedWriter, RawIOBase, TextIOWrapper
from typing import Annotated

import typer

from inboxsync import __version__
from inboxsync.cli import db, demo, export, keys, pages, report, runs, serve, sync, verify, worker
from inboxsync.cli.examples import EXAMPLES, show_examples
from inboxsync.cli.output import FAILED, exit_code, print_error, print_problem
from inboxsync.cli.sandbox import sandbox
from inboxsync.cli.search import search
from inboxsync.errors import InboxsyncError

app = typer.Typer(
    help="Copy every conversation of a Facebook Page or Instagram account into your own database.",
    no_args_is_help=True,
    epilog=f"Example: {EXAMPLES['']}",
    pretty_exceptions_enable=False,
)
app.command()(sync.sync)
app.command()(verify.verify)
app.add_typer(pages.app, name="pages")
app.command()(search)
app.add_typer(export.app, name="export")
app.add_typer(report.app, name="report")
app.command()(serve.serve)
app.add_typer(keys.app, name="keys")
app.add_typer(runs.app, name="runs")
app.command()(worker.worker)
app.command()(demo.demo)
app.command()(sandbox)
app.add_typer(db.app, name="db")
show_examples(app)


def _print_version(asked: bool) -> None:  # noqa: FBT001 - Typer calls it with the option's value
    if asked:
        typer.echo(f"inboxsync {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of every command."""


def main() -> None:
    """Run the command line. An error of ours becomes one sentence, a hint and an exit code."""
    _replace_closed_streams()
    _buffer_stdout()
    try:
        try:
            # By this name shells ask for completions, however it was started.
            app(prog_name="inboxsync")
        finally:
            sys.stdout.flush()
    except InboxsyncError as error:
        print_error(error)
        sys.exit(exit_code(error))
    except OSError as error:
        # Errors of the database and the network are ours by now: this one is a terminal, a pipe or the disk.
        _replace_stream("stdout")
        print_problem(f"The output cannot be written: {error.strerror}.", "Check where stdout and stderr go.")
        sys.exit(FAILED)


def _replace_closed_streams() -> None:
    """A supervisor may start this process with closed streams: no reason to fail."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            _replace_stream(name)


def _buffer_stdout() -> None:
    """With PYTHONUNBUFFERED stdout is the raw file, which may write only a part without an error."""
    raw: object = sys.stdout.buffer
    if isinstance(raw, RawIOBase):
        sys.stdout = TextIOWrapper(
            BufferedWriter(raw),
            encoding=sys.stdout.encoding,
            errors=sys.stdout.errors,
            line_buffering=True,
        )


def _replace_stream(name: str) -> None:
    mode = "r" if name == "stdin" else "w"
    setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 - open for good

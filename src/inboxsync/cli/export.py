"""`inboxsync export`."""

import os
import sys
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from inboxsync.cli.exit_codes import PARTIAL
from inboxsync.cli.exporting import ExportStopped, watching
from inboxsync.cli.opening import open_engine
from inboxsync.cli.output import print_error, print_problem, some, stderr, stdout
from inboxsync.cli.times import parse_since, parse_zone
from inboxsync.clock import SystemClock
from inboxsync.engine import Engine
from inboxsync.errors import FileNotWhole, OutputFailed, SettingsInvalid, StoreError
from inboxsync.model import Page, Platform
from inboxsync.reports import Export, ExportRequest, Format, What
from inboxsync.reports.files import write_export
from inboxsync.reports.folders import FolderManifest, check_folder
from inboxsync.reports.formats import STREAMED, format_of
from inboxsync.reports.manifest import Manifest, check_file, manifest_path
from inboxsync.settings import load_settings
from inboxsync.store.state.pages import find_pages

app = typer.Typer(help="Take your data with you: tables for spreadsheets and programs.", no_args_is_help=True)

ChosenFormat = Annotated[
    Format | None, typer.Option("--format", help="How to write it; else as the file's name says, else csv.")
]
Pages = Annotated[
    list[str] | None,
    typer.Option("--page", metavar="PAGE_ID", help="Only this Page, Meta's id or ours; may be repeated."),
]
Since = Annotated[
    str | None,
    typer.Option(metavar="WHEN", help="Only since then: 2026-01-31, 2026-01-31T12:00, or 24h, 30d, 4w ago."),
]
Zone = Annotated[
    str | None, typer.Option("--zone", help="Time zone of --since; else this machine's.", metavar="NAME")
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="The file to write; else stdout.", metavar="FILE")
]
ByteOrderMark = Annotated[
    bool | None,
    typer.Option("--bom/--no-bom", help="Begin CSV with the mark by which Excel knows UTF-8; files have it."),
]
Trailer = Annotated[bool, typer.Option(help="End NDJSON on stdout with a line that says that it is whole.")]


@app.command()
def contacts(
    *,
    chosen: ChosenFormat = None,
    page: Pages = None,
    since: Since = None,
    zone: Zone = None,
    output: Output = None,
    bom: ByteOrderMark = None,
    trailer: Trailer = True,
) -> None:
    """Export everybody who has written, with who waits for an answer. With --since: who has written since."""
    request = _request(What.CONTACTS, chosen, output, page, _since(since, zone), bom=bom, trailer=trailer)
    _export(request, output)


@app.command()
def conversations(
    *,
    chosen: ChosenFormat = None,
    page: Pages = None,
    since: Since = None,
    zone: Zone = None,
    output: Output = None,
    bom: ByteOrderMark = None,
    trailer: Trailer = True,
) -> None:
    """Export the conversations, with first response times. With --since: those with a message since."""
    request = _request(
        What.CONVERSATIONS, chosen, output, page, _since(since, zone), bom=bom, trailer=trailer
    )
    _export(request, output)


@app.command()
def messages(
    *,
    chosen: ChosenFormat = None,
    page: Pages = None,
    since: Since = None,
    zone: Zone = None,
    output: Output = None,
    bom: ByteOrderMark = None,
    trailer: Trailer = True,
) -> None:
    """Export every message that can be read, conversation by conversation."""
    request = _request(What.MESSAGES, chosen, output, page, _since(since, zone), bom=bom, trailer=trailer)
    _export(request, output)


@app.command()
def html(
    page_id: Annotated[str, typer.Argument(metavar="PAGE_ID", help="Meta's id of the Page, or ours.")],
    *,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="PATH", help="A new folder; or one file, where the name ends in .html."
        ),
    ],
    platform: Annotated[Platform | None, typer.Option(help="Only this inbox of it.")] = None,
    zone: Annotated[
        str | None, typer.Option(metavar="NAME", help="Time zone of its times; else this machine's.")
    ] = None,
) -> None:
    """Export a Page's inbox as HTML that any browser opens offline: nothing runs, nothing is loaded."""
    # Its templates' library is for those who use it.
    from inboxsync.reports.archive import open_archive  # noqa: PLC0415

    settings = load_settings()
    chosen = parse_zone(zone, settings)
    with open_engine(settings) as engine:
        page = _one_page(engine, page_id, platform)
        try:
            with open_archive(engine.store, page, zone=chosen, now=engine.clock.now()) as archive:
                is_one_file = output.suffix.lower() in {".html", ".htm"}
                write = archive.write_file if is_one_file else archive.write_folder
                with watching("conversations", archive.conversations, to_terminal=False) as watcher:
                    told = write(output, watcher.on_progress)
        except ExportStopped:
            print_problem("Stopped. No file was written.", "Run the same command again.")
            raise typer.Exit(PARTIAL) from None
    stdout().print(
        f"Wrote {some(told.conversations, 'conversation')} to {output} ({some(told.files, 'file')}, "
        f"{told.bytes:,} bytes)."
    )
    stdout().print(f"  Open {output if is_one_file else output / 'index.html'} in a browser.")


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(metavar="PATH", help="An exported file or folder.")],
) -> None:
    """Say whether exported files are whole: held against their manifests, or NDJSON against its trailer.

    Exit codes: 0 all are, 3 one is not, 1 one cannot be read.
    """
    is_whole = True
    for path in files:
        try:
            told = check_folder(path) if path.is_dir() else check_file(path)
        except FileNotWhole as error:
            print_error(error)
            is_whole = False
        else:
            stdout().print(
                f"{path} is whole: {_content(told)}, exported {told.exported_at:%Y-%m-%d %H:%M} UTC."
            )
    if not is_whole:
        raise typer.Exit(PARTIAL)


def _request(
    what: What,
    chosen: Format | None,
    output: Path | None,
    pages: list[str] | None,
    since: datetime | None,
    *,
    bom: bool | None,
    trailer: bool,
) -> ExportRequest:
    path = _file(output)
    written_as = chosen or (format_of(path.name) if path is not None else Format.CSV)
    if path is None and written_as not in STREAMED:
        raise SettingsInvalid(
            f"A file of the format {written_as} cannot go to stdout.",
            hint=f"Name it: `inboxsync export {what} -o {what}.{written_as}`.",
        )
    return ExportRequest(
        what=what,
        format=written_as,
        pages=tuple(pages or ()),
        since=since,
        byte_order_mark=bom if bom is not None else path is not None,
        trailer=trailer and path is None,
    )


def _since(text: str | None, zone: str | None) -> datetime | None:
    if text is None:
        return None
    return parse_since(text, now=SystemClock().now(), zone=parse_zone(zone, load_settings()))


def _file(output: Path | None) -> Path | None:
    """None: stdout."""
    return None if output is None or str(output) == "-" else output


def _export(request: ExportRequest, output: Path | None) -> None:
    path = _file(output)
    if path is None and sys.stdout.name == os.devnull:
        # Closed, and replaced when we began: what is written there is nowhere.
        raise OutputFailed("Stdout is closed.", hint="Name a file with -o.")
    with open_engine() as engine:
        if request.what is What.CONTACTS:
            _look_through(engine)
        try:
            told = _write(engine, request, path)
        except ExportStopped:
            kept = "No file was written" if path is not None else "What was printed is not whole"
            print_problem(f"Stopped. {kept}.", "Run the same command again.")
            raise typer.Exit(PARTIAL) from None
    _print_written(told, path)


def _look_through(engine: Engine) -> None:
    """Find the phone numbers and e-mail addresses of messages that came since anybody last looked."""
    try:
        if not sys.stderr.isatty():
            engine.derive()
            return
        with stderr().status("Looking for phone numbers and e-mail addresses ..."):
            engine.derive()
    except StoreError as error:
        # A database that is only to be read has all the rest.
        print_problem(error.message, "Phone numbers and e-mail addresses of newer messages may be missing.")


def _write(engine: Engine, request: ExportRequest, path: Path | None) -> Manifest:
    with closing(Export(engine.store, request, now=engine.clock.now())) as export:
        to_terminal = path is None and sys.stdout.isatty()
        with watching(request.what.value, export.rows, to_terminal=to_terminal) as watcher:
            if path is not None:
                return write_export(export, path, watcher.on_progress)
            for chunk in export.chunks(watcher.on_progress):
                sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
    if export.manifest is None:
        raise AssertionError("chunks came to an end without a manifest")
    return export.manifest


def _print_written(told: Manifest, path: Path | None) -> None:
    if told.details_current is False:
        print_problem(
            "Not every message has been looked through for phone numbers and e-mail addresses.",
            "Run it again when no sync is under way.",
        )
    if path is None:
        stderr().print(f"Exported {_content(told)}: {told.bytes:,} bytes, SHA-256 {told.sha256}.")
        return
    stdout().print(f"Wrote {_content(told)} to {path} ({told.bytes:,} bytes).")
    stdout().print(f"  {manifest_path(path).name} tells whether it is whole: inboxsync export check {path}")
    if told.cut_cells:
        stdout().print(
            f"  {some(told.cut_cells, 'text')} of more than 32,767 characters had to be cut, as Excel takes "
            "no longer one; each ends with an ellipsis. The other formats have them whole."
        )


def _content(told: Manifest | FolderManifest) -> str:
    if isinstance(told, FolderManifest):
        return some(told.conversations, "conversation")
    return some(told.rows, told.what.removesuffix("s"))


def _one_page(engine: Engine, page_id: str, platform: Platform | None) -> Page:
    with engine.store.read() as connection:
        found = [page for page in find_pages(connection, [page_id]) if platform in (None, page.platform)]
    if not found:
        raise SettingsInvalid(
            f"Page {page_id} was not added for {platform}.", hint="See `inboxsync pages list`."
        )
    if len(found) > 1:
        raise SettingsInvalid(
            f"Page {page_id} was added for two platforms.",
            hint="Say which: --platform messenger or instagram.",
        )
    return found[0]

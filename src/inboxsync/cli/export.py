"""`inboxsync export`."""

import os
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from inboxsync.cli.options import (
    OnlyPages,
    OnlyPlatform,
    PageId,
    Since,
    Zone,
    on_platform,
    parse_since,
    parse_zone,
)
from inboxsync.cli.output import PARTIAL, local, print_error, print_problem, some, stderr, stdout
from inboxsync.cli.process import Interrupted, open_engine
from inboxsync.cli.progress import counting
from inboxsync.clock import SystemClock
from inboxsync.engine import Engine
from inboxsync.errors import FileIncomplete, OutputFailed, SettingsInvalid, StoreError
from inboxsync.model import Page, Platform
from inboxsync.reports import Export, ExportRequest, Format, What
from inboxsync.reports.delimiters import delimiter_asked
from inboxsync.reports.files import write_export
from inboxsync.reports.folders import FolderManifest, check_folder
from inboxsync.reports.formats import STREAMED, format_of
from inboxsync.reports.manifest import Manifest, check_file, manifest_path
from inboxsync.settings import load_settings
from inboxsync.store.state.pages import find_pages

app = typer.Typer(help="Take your data with you: tables for spreadsheets and programs.", no_args_is_help=True)

ChosenFormat = Annotated[
    Format | None, typer.Option("--format", help="The file format. Default: from the file's name, else csv.")
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="The file to write. Default: stdout.", metavar="FILE")
]
ByteOrderMark = Annotated[
    bool | None,
    typer.Option(
        "--bom/--no-bom",
        help="Begin CSV with a byte order mark, so that Excel reads UTF-8. Default: only in files.",
    ),
]
Delimiter = Annotated[
    str | None,
    typer.Option(
        "--delimiter",
        help="Between the cells of CSV: comma, semicolon, tab or pipe. Default: comma.",
        metavar="SIGN",
    ),
]
Excel = Annotated[
    str | None,
    typer.Option(
        "--excel",
        help="CSV as Excel in this locale opens it (de, vi-VN; auto: this machine's): its delimiter, a "
        "byte order mark.",
        metavar="LOCALE",
    ),
]
Raw = Annotated[
    bool,
    typer.Option(
        "--raw",
        help="For scripts: CSV and Excel with column names as headings, in a fixed order, and times in UTC.",
    ),
]
Trailer = Annotated[bool, typer.Option(help="End NDJSON on stdout with a line that says it is complete.")]


@app.command()
def contacts(
    *,
    chosen: ChosenFormat = None,
    page: OnlyPages = None,
    since: Since = None,
    zone: Zone = None,
    output: Output = None,
    bom: ByteOrderMark = None,
    delimiter: Delimiter = None,
    excel: Excel = None,
    raw: Raw = False,
    trailer: Trailer = True,
) -> None:
    """Export all contacts, and who waits for an answer. With --since: those who have written since then."""
    request = _request(
        What.CONTACTS, chosen, output, page, since=since, zone=zone, bom=bom, raw=raw, trailer=trailer
    )
    _export(_separated(request, delimiter, excel, bom), output)


@app.command()
def conversations(
    *,
    chosen: ChosenFormat = None,
    page: OnlyPages = None,
    since: Since = None,
    zone: Zone = None,
    output: Output = None,
    bom: ByteOrderMark = None,
    delimiter: Delimiter = None,
    excel: Excel = None,
    raw: Raw = False,
    trailer: Trailer = True,
) -> None:
    """Export the conversations, with first response times. With --since: those with a message since then."""
    request = _request(
        What.CONVERSATIONS, chosen, output, page, since=since, zone=zone, bom=bom, raw=raw, trailer=trailer
    )
    _export(_separated(request, delimiter, excel, bom), output)


@app.command()
def messages(
    *,
    chosen: ChosenFormat = None,
    page: OnlyPages = None,
    since: Since = None,
    zone: Zone = None,
    output: Output = None,
    bom: ByteOrderMark = None,
    delimiter: Delimiter = None,
    excel: Excel = None,
    raw: Raw = False,
    trailer: Trailer = True,
) -> None:
    """Export every message that can be read, conversation by conversation."""
    request = _request(
        What.MESSAGES, chosen, output, page, since=since, zone=zone, bom=bom, raw=raw, trailer=trailer
    )
    _export(_separated(request, delimiter, excel, bom), output)


@app.command()
def html(
    page_id: PageId,
    *,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="PATH", help="A new folder, or one file if the name ends in .html."
        ),
    ],
    platform: OnlyPlatform = None,
    zone: Zone = None,
) -> None:
    """Export a Page's inbox as HTML for any browser. It works offline: no scripts, nothing is loaded."""
    # Imported here: only this command needs the library for templates.
    from inboxsync.reports.archive import open_archive  # noqa: PLC0415

    settings = load_settings()
    chosen = parse_zone(zone, settings)
    with open_engine(settings) as engine:
        page = _one_page(engine, page_id, platform)
        try:
            with open_archive(engine.store, page, zone=chosen, now=engine.clock.now()) as archive:
                is_one_file = output.suffix.lower() in {".html", ".htm"}
                write = archive.write_file if is_one_file else archive.write_folder
                with counting(draws=sys.stderr.isatty()) as count:
                    written = write(output, lambda done: count("conversations", done, archive.conversations))
        except Interrupted:
            print_problem("Stopped. No file was written.", "Run the same command again.")
            raise typer.Exit(PARTIAL) from None
    stdout().print(
        f"Wrote {some(written.conversations, 'conversation')} to {output} ({some(written.files, 'file')}, "
        f"{written.bytes:,} bytes)."
    )
    stdout().print(f"  Open {output if is_one_file else output / 'index.html'} in a browser.")


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(metavar="PATH", help="An exported file or folder.")],
) -> None:
    """Check that exported files are whole: by their manifests, or NDJSON by its last line.

    Exit codes: 0 all are, 3 one is not, 1 one cannot be read.
    """
    is_whole, zone = True, load_settings().zone
    for path in files:
        try:
            found = check_folder(path) if path.is_dir() else check_file(path)
        except FileIncomplete as error:
            print_error(error)
            is_whole = False
        else:
            exported_at = f"{local(found.exported_at, zone)} ({zone})"
            stdout().print(f"{path} is complete: {_content(found)}, exported {exported_at}.")
    if not is_whole:
        raise typer.Exit(PARTIAL)


def _request(
    what: What,
    chosen: Format | None,
    output: Path | None,
    pages: list[str] | None,
    *,
    since: str | None,
    zone: str | None,
    bom: bool | None,
    raw: bool,
    trailer: bool,
) -> ExportRequest:
    path, shown_in = _file(output), parse_zone(zone, load_settings())
    written_as = chosen or (format_of(path.name) if path is not None else Format.CSV)
    if path is None and written_as not in STREAMED:
        raise SettingsInvalid(
            f"The format {written_as} cannot be written to stdout.",
            hint=f"Name it: `inboxsync export {what} -o {what}.{written_as}`.",
        )
    return ExportRequest(
        what=what,
        format=written_as,
        pages=tuple(pages or ()),
        since=parse_since(since, now=SystemClock().now(), zone=shown_in),
        byte_order_mark=bom if bom is not None else path is not None,
        trailer=trailer and path is None,
        raw=raw,
        zone=shown_in,
    )


def _separated(
    request: ExportRequest,
    delimiter: str | None,
    excel: str | None,
    bom: bool | None,  # noqa: FBT001 - an option's value
) -> ExportRequest:
    """The request with the delimiter that was asked for."""
    is_csv = request.format is Format.CSV
    asked = delimiter_asked(delimiter, excel, is_csv=is_csv)
    marked = request.byte_order_mark or (excel is not None and bom is None)
    return replace(request, delimiter=asked, byte_order_mark=marked)


def _file(output: Path | None) -> Path | None:
    """None: stdout."""
    return None if output is None or str(output) == "-" else output


def _export(request: ExportRequest, output: Path | None) -> None:
    path = _file(output)
    if path is None and sys.stdout.name == os.devnull:
        # It was closed, and replaced at the start: what is written there is lost.
        raise OutputFailed("Stdout is closed.", hint="Name a file with -o.")
    with open_engine() as engine:
        if request.what is What.CONTACTS:
            _derive_contacts(engine)
        try:
            manifest = _write(engine, request, path)
        except Interrupted:
            kept = "No file was written" if path is not None else "What was printed is not complete"
            print_problem(f"Stopped. {kept}.", "Run the same command again.")
            raise typer.Exit(PARTIAL) from None
    _print_written(manifest, path)


def _derive_contacts(engine: Engine) -> None:
    """Find phone numbers and e-mail addresses in new messages."""
    store = engine.store
    try:
        if not sys.stderr.isatty():
            engine.derive(store)
            return
        with stderr().status("Looking for phone numbers and e-mail addresses ..."):
            engine.derive(store)
    except StoreError as error:
        # The database may be read-only: everything else can be exported.
        print_problem(error.message, "Phone numbers and e-mail addresses of newer messages may be missing.")


def _write(engine: Engine, request: ExportRequest, path: Path | None) -> Manifest:
    with closing(Export(engine.store, request, now=engine.clock.now())) as export:
        # No bar between rows on the same terminal.
        draws = sys.stderr.isatty() and not (path is None and sys.stdout.isatty())
        with counting(draws=draws) as count:

            def on_progress(rows: int) -> None:
                count(request.what.value, rows, export.rows)

            if path is not None:
                return write_export(export, path, on_progress)
            for chunk in export.chunks(on_progress):
                sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
    if export.manifest is None:
        raise AssertionError("the chunks ended without a manifest")
    return export.manifest


def _print_written(manifest: Manifest, path: Path | None) -> None:
    if manifest.details_current is False:
        print_problem(
            "Some new messages have not been searched for phone numbers and e-mail addresses.",
            "Run it again when no sync is running.",
        )
    if path is None:
        stderr().print(f"Exported {_content(manifest)}: {manifest.bytes:,} bytes, SHA-256 {manifest.sha256}.")
        return
    stdout().print(f"Wrote {_content(manifest)} to {path} ({manifest.bytes:,} bytes).")
    stdout().print(
        f"  {manifest_path(path).name} shows whether it is complete: inboxsync export check {path}"
    )
    if manifest.cut_cells:
        stdout().print(
            f"  {some(manifest.cut_cells, 'text')} of more than 32,767 characters were cut: Excel cannot "
            "store longer ones. Each cut text ends with an ellipsis. The other formats have all of it."
        )


def _content(manifest: Manifest | FolderManifest) -> str:
    if isinstance(manifest, FolderManifest):
        return some(manifest.conversations, "conversation")
    return some(manifest.rows, manifest.what.removesuffix("s"))


def _one_page(engine: Engine, page_id: str, platform: Platform | None) -> Page:
    with engine.store.read() as connection:
        found = on_platform(find_pages(connection, [page_id]), page_id, platform)
    if len(found) > 1:
        raise SettingsInvalid(
            f"Page {page_id} was added for two platforms.",
            hint="Say which: --platform messenger or instagram.",
        )
    return found[0]

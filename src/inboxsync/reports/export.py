"""Exports a table: one state of the database, as chunks of bytes."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from itertools import islice
from typing import Any, TypeVar

from inboxsync import __version__
from inboxsync.reports.columns import Layout
from inboxsync.reports.formats import MEDIA_TYPES, Format, Writer, writer_of
from inboxsync.reports.manifest import Manifest, ManifestPage, as_trailer
from inboxsync.reports.tables import TABLES, What
from inboxsync.store import Store
from inboxsync.store.derived import is_current
from inboxsync.store.reading import Scope
from inboxsync.store.state.pages import find_pages, list_pages

T = TypeVar("T")

# Called with the number of rows written so far; it may raise to stop.
OnProgress = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """What to export.

    `pages` are ids of Pages, ours or Meta's; none: all. `byte_order_mark` is for CSV that Excel opens,
    `delimiter` stands between its cells (one of `cells.DELIMITERS`), `trailer` for NDJSON that has no
    manifest beside it. CSV and Excel are for people, with times in `zone`, or for programs (`raw`): names as
    headings, times in UTC.
    """

    what: What
    format: Format
    pages: tuple[str, ...] = ()
    since: datetime | None = None
    byte_order_mark: bool = False
    delimiter: str = ","
    trailer: bool = False
    raw: bool = False
    zone: tzinfo = UTC


class Export:
    """An export that has begun: its transaction is open until `chunks` ends, or until `close`.

    `rows` is known before the first byte, from the same state of the database. The bytes are complete only
    when `chunks` ends without an error; then `manifest` has their length and checksum.
    """

    def __init__(self, store: Store, request: ExportRequest, *, now: datetime) -> None:
        """Raises PageUnknown, SettingsInvalid if a library is missing, StoreError."""
        self.request = request
        self.manifest: Manifest | None = None
        self._table = TABLES[request.what]
        self._exported_at = now
        # NDJSON and Parquet are for programs.
        is_utc = request.raw or request.format in (Format.NDJSON, Format.PARQUET)
        self._zone = UTC if is_utc else request.zone
        layout = Layout(self._table.columns, raw=request.raw, zone=self._zone)
        with ExitStack() as opening:
            self._writer: Writer = writer_of(
                request.format,
                layout,
                title=request.what.value,
                byte_order_mark=request.byte_order_mark,
                delimiter=request.delimiter,
            )
            opening.callback(self._writer.close)
            self._connection = opening.enter_context(store.read())
            pages = find_pages(self._connection, request.pages) if request.pages else None
            self._scope = Scope(pages=tuple(pages or list_pages(self._connection)), since=request.since)
            self.rows = self._table.count(self._connection, self._scope)
            is_of_contacts = request.what is What.CONTACTS
            self._details_current = is_current(self._connection) if is_of_contacts else None
            self._open = opening.pop_all()

    @property
    def media_type(self) -> str:
        """The format's media type in HTTP."""
        return MEDIA_TYPES[self.request.format]

    @property
    def filename(self) -> str:
        """A name for the file, with the day of the export in its zone."""
        day = self._exported_at.astimezone(self.request.zone).date()
        return f"{self.request.what}-{day}.{self.request.format}"

    def chunks(self, on_progress: OnProgress | None = None) -> Generator[bytes, None, None]:
        """The bytes, no chunk empty; can be read once. Any thread may read, one at a time.

        Raises StoreError if the database fails; the bytes until then are not complete.
        """
        digest, size, rows = hashlib.sha256(), 0, 0
        with self._open, closing(self._parts()) as parts:
            for chunk, more in parts:
                rows += more
                if on_progress is not None:
                    on_progress(rows)
                if chunk:
                    digest.update(chunk)
                    size += len(chunk)
                    yield chunk
        self.manifest = self._manifest(rows, size, digest.hexdigest())
        if self.request.trailer and self.request.format is Format.NDJSON:
            yield as_trailer(self.manifest)

    async def async_chunks(self) -> AsyncIterator[bytes]:
        """The same for an event loop: threads read the database and write the format."""
        chunks = self.chunks()
        try:
            while (chunk := await _to_the_end(asyncio.to_thread(next, chunks, None))) is not None:
                yield chunk
        finally:
            await _to_the_end(asyncio.to_thread(chunks.close))
            self.close()

    def close(self) -> None:
        """End the transaction and release everything."""
        self._open.close()

    def _parts(self) -> Generator[tuple[bytes, int], None, None]:
        """Bytes, and the number of rows in them."""
        yield self._writer.begin(), 0
        records = self._table.rows(self._connection, self._scope)
        while batch := list(islice(records, self._writer.rows_at_once)):
            yield self._writer.write(batch), len(batch)
        yield from ((chunk, 0) for chunk in self._writer.end())

    def _manifest(self, rows: int, size: int, sha256: str) -> Manifest:
        return Manifest(
            what=self.request.what.value,
            format=self.request.format.value,
            rows=rows,
            bytes=size,
            sha256=sha256,
            columns=[column.name for column in self._table.columns],
            pages=[
                ManifestPage(page_id=page.facebook_page_id, platform=page.platform.value, name=page.name)
                for page in self._scope.pages
            ],
            since=self.request.since,
            exported_at=self._exported_at.astimezone(UTC),
            zone=str(self._zone),
            cut_cells=self._writer.cut_cells,
            inboxsync=__version__,
            details_current=self._details_current,
        )


async def _to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """What a thread returns. If cancelled, it still waits: the thread uses the transaction until its end."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise

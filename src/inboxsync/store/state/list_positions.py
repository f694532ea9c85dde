"""Rows of `sync_progress`, as the states of `model.progress`."""

from datetime import datetime

import msgspec
from sqlalchemy import Connection, Row, delete, select

from inboxsync.model import Following, NotStarted, Page, Progress, Span, Unserved, Walking
from inboxsync.store.connection.statements import put_row
from inboxsync.store.tables import sync_progress as table

_encode = msgspec.json.Encoder().encode
_decode_spans = msgspec.json.Decoder(tuple[Span, ...]).decode


def list_progress(connection: Connection, page: Page) -> dict[str, Progress]:
    """How far the sync of each list of the Page has come, by folder; absent: not started."""
    rows = connection.execute(select(table).where(table.c.page_id == page.id))
    return {row.folder: _progress(row) for row in rows}


def put_progress(
    connection: Connection, page: Page, folder: str, progress: Progress, *, now: datetime
) -> None:
    """Replace it, in the caller's transaction."""
    values = dict.fromkeys(("pin_at", "floor_at", "spans", "watermark_at")) | {
        "page_id": page.id,
        "folder": folder,
        "updated_at": now,
    }
    match progress:
        case NotStarted():
            connection.execute(delete(table).where(table.c.page_id == page.id, table.c.folder == folder))
            return
        case Unserved():
            values |= {"phase": "unserved"}
        case Following(watermark=watermark):
            values |= {"phase": "following", "watermark_at": watermark}
        case Walking():
            values |= {
                "phase": "walking",
                "pin_at": progress.pin,
                "floor_at": progress.floor,
                "spans": _encode(progress.spans).decode(),
                "watermark_at": progress.watermark,
            }
    put_row(connection, table, values)


def forget_progress(connection: Connection, page: Page) -> None:
    """No list of the Page has been started."""
    connection.execute(delete(table).where(table.c.page_id == page.id))


def _progress(row: Row[tuple[object, ...]]) -> Progress:
    match row.phase:
        case "following":
            return Following(watermark=row.watermark_at)
        case "unserved":
            return Unserved()
    return Walking(
        pin=row.pin_at, floor=row.floor_at, spans=_decode_spans(row.spans), watermark=row.watermark_at
    )

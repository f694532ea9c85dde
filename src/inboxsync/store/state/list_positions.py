"""Rows of `list_positions`, as the states of `model.progress`."""

from datetime import datetime

import msgspec
from sqlalchemy import Connection, Row, delete, select

from inboxsync.model import Following, NotStarted, Page, Progress, Scanning, Segment, Unserved
from inboxsync.store.connection.statements import put_row
from inboxsync.store.tables import list_positions as table

_encode = msgspec.json.Encoder().encode
_decode_segments = msgspec.json.Decoder(tuple[Segment, ...]).decode


def list_progress(connection: Connection, page: Page) -> dict[str, Progress]:
    """How far the sync of each list of the Page has come, by folder; absent: not started."""
    rows = connection.execute(select(table).where(table.c.page_id == page.id))
    return {row.folder: _progress(row) for row in rows}


def put_progress(
    connection: Connection, page: Page, folder: str, progress: Progress, *, now: datetime
) -> None:
    """Replace it, in the caller's transaction."""
    values = dict.fromkeys(("snapshot_at", "lower_bound_at", "segments", "watermark_at")) | {
        "page_id": page.id,
        "folder": folder,
        "updated_at": now,
    }
    match progress:
        case NotStarted():
            connection.execute(delete(table).where(table.c.page_id == page.id, table.c.folder == folder))
            return
        case Unserved():
            values |= {"state": "unserved"}
        case Following(watermark=watermark):
            values |= {"state": "following", "watermark_at": watermark}
        case Scanning():
            values |= {
                "state": "scanning",
                "snapshot_at": progress.snapshot_at,
                "lower_bound_at": progress.lower_bound,
                "segments": _encode(progress.segments).decode(),
                "watermark_at": progress.watermark,
            }
    put_row(connection, table, values)


def forget_progress(connection: Connection, page: Page) -> None:
    """No list of the Page has been started."""
    connection.execute(delete(table).where(table.c.page_id == page.id))


def _progress(row: Row[tuple[object, ...]]) -> Progress:
    match row.state:
        case "following":
            return Following(watermark=row.watermark_at)
        case "unserved":
            return Unserved()
    return Scanning(
        snapshot_at=row.snapshot_at,
        lower_bound=row.lower_bound_at,
        segments=_decode_segments(row.segments),
        watermark=row.watermark_at,
    )

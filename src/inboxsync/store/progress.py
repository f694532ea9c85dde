"""Rows of `sync_progress`, as the three states of `model.progress`."""

from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from inboxsync.model import Following, NotStarted, Page, Progress, Walking
from inboxsync.store.tables import sync_progress as table


def get_progress(connection: Connection, page: Page, folder: str) -> Progress:
    """How far the sync of this list has come."""
    row = connection.execute(
        select(table).where(table.c.page_id == page.id, table.c.folder == folder)
    ).one_or_none()
    if row is None:
        return NotStarted()
    if row.phase == "following":
        return Following(watermark=row.watermark_at)
    return Walking(
        pin=row.pin_at,
        floor=row.floor_at,
        frontier=row.frontier_at,
        cursor=row.cursor,
        watermark=row.watermark_at,
    )


def put_progress(
    connection: Connection, page: Page, folder: str, progress: Progress, *, now: datetime
) -> None:
    """Replace it, in the caller's transaction."""
    connection.execute(delete(table).where(table.c.page_id == page.id, table.c.folder == folder))
    values = {"page_id": page.id, "folder": folder, "updated_at": now}
    match progress:
        case NotStarted():
            return
        case Following(watermark=watermark):
            values |= {"phase": "following", "watermark_at": watermark}
        case Walking():
            values |= {
                "phase": "walking",
                "pin_at": progress.pin,
                "floor_at": progress.floor,
                "frontier_at": progress.frontier,
                "cursor": progress.cursor,
                "watermark_at": progress.watermark,
            }
    connection.execute(insert(table), values)

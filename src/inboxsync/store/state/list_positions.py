"""The state of each list: one row of `list_positions` for each (Page, folder)."""

from datetime import datetime

import msgspec
from sqlalchemy import Connection, Row, delete, select

from inboxsync.model import Following, ListState, NotStarted, Page, Scanning, Segment, Unserved
from inboxsync.store.connection.statements import put_statements
from inboxsync.store.tables import list_positions as table

_PUT = put_statements(table)
_encode = msgspec.json.Encoder().encode
_decode_segments = msgspec.json.Decoder(tuple[Segment, ...]).decode


def list_states(connection: Connection, page: Page) -> dict[str, ListState]:
    """The state of each list of the Page, by folder; absent: not started."""
    rows = connection.execute(select(table).where(table.c.page_id == page.id))
    return {row.folder: _list_state(row) for row in rows}


def put_list_state(
    connection: Connection, page: Page, folder: str, state: ListState, *, now: datetime
) -> None:
    """Replace the state of a list, in the caller's transaction."""
    values = dict.fromkeys(("snapshot_at", "lower_bound_at", "segments", "watermark_at")) | {
        "page_id": page.id,
        "folder": folder,
        "updated_at": now,
    }
    match state:
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
                "snapshot_at": state.snapshot_at,
                "lower_bound_at": state.lower_bound,
                "segments": _encode(state.segments).decode(),
                "watermark_at": state.watermark,
            }
    connection.execute(_PUT[connection.dialect.name], values)


def forget_list_states(connection: Connection, page: Page) -> None:
    """Set every list of the Page back to not started."""
    connection.execute(delete(table).where(table.c.page_id == page.id))


def _list_state(row: Row[tuple[object, ...]]) -> ListState:
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

"""Rows of `certificates`."""

from sqlalchemy import Connection, insert, select

from inboxsync.model import Page, Verification
from inboxsync.store.tables import verifications as table


def put_verification(connection: Connection, verification: Verification) -> None:
    """Keep a certificate; earlier ones stay."""
    row = {
        "id": verification.id,
        "page_id": verification.page_id,
        "checked_at": verification.checked_at,
        "is_complete": verification.is_complete,
        "summary": verification.summary,
    }
    connection.execute(insert(table), row)


def newest_verification(connection: Connection, page: Page) -> Verification | None:
    """The last one of this Page; None where it was never verified."""
    row = connection.execute(
        select(table)
        .where(table.c.page_id == page.id)
        .order_by(table.c.checked_at.desc(), table.c.id.desc())
        .limit(1)
    ).one_or_none()
    if row is None:
        return None
    return Verification(
        id=row.id,
        page_id=row.page_id,
        checked_at=row.checked_at,
        is_complete=row.is_complete,
        summary=row.summary,
    )

"""Rows of `certificates`."""

from sqlalchemy import Connection, insert, select

from inboxsync.model import Certificate, Page
from inboxsync.store.tables import certificates as table


def put_certificate(connection: Connection, certificate: Certificate) -> None:
    """Keep a certificate; earlier ones stay."""
    row = {
        "id": certificate.id,
        "page_id": certificate.page_id,
        "checked_at": certificate.checked_at,
        "is_complete": certificate.is_complete,
        "summary": certificate.summary,
    }
    connection.execute(insert(table), row)


def newest_certificate(connection: Connection, page: Page) -> Certificate | None:
    """The last one of this Page; None where it was never verified."""
    row = connection.execute(
        select(table)
        .where(table.c.page_id == page.id)
        .order_by(table.c.checked_at.desc(), table.c.id.desc())
        .limit(1)
    ).one_or_none()
    if row is None:
        return None
    return Certificate(
        id=row.id,
        page_id=row.page_id,
        checked_at=row.checked_at,
        is_complete=row.is_complete,
        summary=row.summary,
    )

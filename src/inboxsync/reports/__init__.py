"""What is taken out of the store: exports, archives, and reports."""

from inboxsync.reports.export import Export, ExportRequest
from inboxsync.reports.formats import Format
from inboxsync.reports.tables import What

__all__ = ["Export", "ExportRequest", "Format", "What"]

"""Takes data out of the store: exports, archives and reports."""

from inboxsync.reports.activity import Activity, activity
from inboxsync.reports.export import Export, ExportRequest
from inboxsync.reports.formats import Format
from inboxsync.reports.response_times import ResponseTimes, response_times
from inboxsync.reports.tables import What

__all__ = [
    "Activity",
    "Export",
    "ExportRequest",
    "Format",
    "ResponseTimes",
    "What",
    "activity",
    "response_times",
]

"""`/exports`: the stored data as a file."""

from typing import Final

from starlette.responses import Response

from inboxsync.api.problems import ExportsBusy
from inboxsync.errors import InboxsyncError, SettingsInvalid
from inboxsync.reports import ExportRequest, Format, What
from inboxsync.reports.delimiters import delimiter_of, delimiter_of_excel
from inboxsync.web.explained import explained
from inboxsync.web.lists import page_choice
from inboxsync.web.request_context import RequestContext

_KINDS: Final = {
    What.CONTACTS: "Contacts",
    What.CONVERSATIONS: "Conversations",
    What.MESSAGES: "Messages",
}
_FORMATS: Final = {
    Format.CSV: "CSV, for spreadsheets",
    Format.XLSX: "Excel workbook",
    Format.NDJSON: "NDJSON, one object per line",
    Format.PARQUET: "Parquet, for data tools",
}
_DELIMITERS: Final = (
    ("comma", "comma"),
    ("semicolon", "semicolon: for Excel where a comma is the decimal sign"),
    ("tab", "tab"),
    ("pipe", "vertical bar"),
)


def show(context: RequestContext) -> Response:
    """The form."""
    return _form(context)


def download(context: RequestContext) -> Response:
    """The file, streamed: its first bytes are sent before the last rows are read."""
    try:
        return context.service.downloads.begin(_request(context))
    except ExportsBusy as busy:
        answer = _form(context, problem=busy, status=busy.status)
        answer.headers["Retry-After"] = str(busy.retry_after_seconds)
        return answer
    except InboxsyncError as refused:
        return _form(context, problem=refused)


def _request(context: RequestContext) -> ExportRequest:
    what, chosen, page_id = context.param("what"), context.param("format"), context.param("page")
    return ExportRequest(
        what=What(what) if what in set(What) else What.CONTACTS,
        format=Format(chosen) if chosen in set(Format) else Format.CSV,
        pages=(page_id,) if page_id else (),
        since=context.since_param(),
        byte_order_mark=True,
        delimiter=_delimiter(context),
        trailer=True,
        raw=context.param("raw") == "1",
        zone=context.zone,
    )


def _delimiter(context: RequestContext) -> str:
    """As `delimiter` or `excel` of the command line. Raises SettingsInvalid."""
    if excel := context.param("excel"):
        return delimiter_of_excel(excel)
    return delimiter_of(context.param("delimiter") or "comma")


def _delimiter_of_browser(context: RequestContext) -> str:
    """What Excel expects in the language that the browser asks for first."""
    language = context.request.headers.get("accept-language", "").partition(",")[0].partition(";")[0].strip()
    try:
        return "semicolon" if language and delimiter_of_excel(language) == ";" else "comma"
    except SettingsInvalid:
        return "comma"


def _form(context: RequestContext, *, problem: InboxsyncError | None = None, status: int = 422) -> Response:
    with context.service.engine.store.read() as connection:
        choice = page_choice(connection, context.param("page"))
    filled_in = {
        name: context.param(name) for name in ("what", "format", "page", "since", "delimiter", "raw")
    }
    return context.show(
        "exports.html",
        here="exports",
        status=status if problem else 200,
        choice=choice,
        problem=explained(problem, is_form=True) if problem else None,
        kinds=[(kind.value, label) for kind, label in _KINDS.items()],
        formats=[(each.value, label) for each, label in _FORMATS.items()],
        delimiters=_DELIMITERS,
        chosen=filled_in
        | {
            "what": filled_in["what"] or What.CONTACTS.value,
            "delimiter": filled_in["delimiter"] or _delimiter_of_browser(context),
        },
    )

"""`/api/v1/exports`: the stored data as a file, whose first bytes are sent before the last rows are read."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from inboxsync.api.auth import requires
from inboxsync.api.selection import OfPages, SinceText, ZoneText, named_wrong, since_of, zone_of
from inboxsync.api.service import ServiceDependency
from inboxsync.model import Scope
from inboxsync.reports import ExportRequest, Format, What
from inboxsync.reports.delimiters import delimiter_asked
from inboxsync.reports.formats import MEDIA_TYPES

router = APIRouter(prefix="/api/v1/exports", tags=["exports"])

_EXAMPLES = {
    Format.CSV: "Contact,Phone numbers,...,Page\r\nAnn Lee,+4791234567,...,Corner Bakery\r\n",
    Format.NDJSON: '{"page_id":"104567890123456","page_name":"Corner Bakery","platform":"messenger"}\n',
    Format.XLSX: "(a workbook)",
    Format.PARQUET: "(a Parquet file)",
}
_EXPORT = requires(Scope.READ, 404, 409)
_EXPORT["responses"] |= {
    200: {
        "description": "The file. `X-Inboxsync-Rows` says how many rows it will have.",
        "headers": {
            "X-Inboxsync-Rows": {"schema": {"type": "integer"}, "description": "The rows of the file."}
        },
        "content": {
            MEDIA_TYPES[each].partition(";")[0]: {
                "schema": {"type": "string", "format": "binary"},
                "example": example,
            }
            for each, example in _EXAMPLES.items()
        },
    }
}


@router.get(
    "/{what}", summary="Export contacts, conversations or messages", response_class=Response, **_EXPORT
)
async def export(
    *,
    service: ServiceDependency,
    what: Annotated[What, Path(description="What is exported.")],
    chosen: Annotated[Format, Query(alias="format", description="The format of the file.")] = Format.CSV,
    page: OfPages = None,
    since: SinceText = None,
    zone: ZoneText = None,
    bom: Annotated[
        bool | None,
        Query(description="Begin CSV with a byte order mark. Default: only with `excel`."),
    ] = None,
    delimiter: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=16,
            description="Between the cells of CSV: comma, semicolon, tab or pipe. Default: comma.",
            examples=["semicolon"],
            json_schema_extra={"format": "delimiter"},
        ),
    ] = None,
    excel: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=64,
            description="CSV as Excel in this locale opens it: its delimiter, a byte order mark.",
            examples=["de"],
            json_schema_extra={"format": "locale"},
        ),
    ] = None,
    raw: Annotated[
        bool,
        Query(
            description="For scripts: CSV and Excel with the names of columns as headings, in a fixed order, "
            "and times in UTC. Without it headings are for people, and times in `zone`."
        ),
    ] = False,
    trailer: Annotated[bool, Query(description="End NDJSON with a line that says it is complete.")] = True,
) -> StreamingResponse:
    """As `inboxsync export` writes it. A connection that ends early is an error: the file is not complete.

    With `since`: contacts who have written since then, conversations with a message since then, and the
    messages since then. HEAD is not answered. Four are sent at once; for more, 503 with `Retry-After`.
    A client that takes nothing for a minute is dropped.
    """
    with named_wrong("excel" if excel is not None else "delimiter"):
        separator = delimiter_asked(delimiter, excel, is_csv=chosen is Format.CSV)
    shown_in = zone_of(service, zone)
    request = ExportRequest(
        what=what,
        format=chosen,
        pages=tuple(page or ()),
        since=since_of(service, since, shown_in),
        byte_order_mark=bom if bom is not None else excel is not None,
        delimiter=separator,
        trailer=trailer,
        raw=raw,
        zone=shown_in,
    )
    return await run_in_threadpool(service.downloads.begin, request)

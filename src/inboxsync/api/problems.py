"""Errors as RFC 9457 problem details: a stable `code`, one sentence, and the next thing to do.

What a client is told never holds what it sent: a body may hold a token.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from starlette.exceptions import HTTPException

from inboxsync import errors
from inboxsync.api import errors as asked

log = structlog.get_logger("inboxsync.api")

MEDIA_TYPE: Final = "application/problem+json"
# The first that fits: the particular before the general.
_STATUSES: Final[tuple[tuple[type[errors.InboxsyncError], int], ...]] = (
    (errors.RunUnknown, 404),
    (asked.ConversationUnknown, 404),
    (asked.ContactUnknown, 404),
    (asked.VerificationUnknown, 404),
    (asked.PageMismatch, 409),
    (asked.BodyTooLarge, 413),
    (asked.HostUnknown, 400),
    (asked.OriginRefused, 403),
    (asked.KeyMissing, 401),
    (asked.KeyInvalid, 401),
    (asked.KeyGuessing, 429),
    (asked.ScopeTooSmall, 403),
    (asked.QueueUnavailable, 503),
    (asked.AnswerTooLate, 503),
    (errors.RequestError, 422),
    (errors.SettingsInvalid, 422),
    (errors.SearchInvalid, 422),
    (errors.PageUnknown, 404),
    (errors.PageBusy, 409),
    (errors.LeaseLost, 409),
    (errors.NeedsPerson, 409),
    (errors.QuotaSpent, 503),
    (errors.SourceError, 502),
    (errors.StoreError, 503),
)
_OF_HTTP: Final = {
    404: ("not_found", "There is nothing at this address.", "/docs shows every address."),
    405: ("method_not_allowed", "This address does not take that method.", "Allow names those it takes."),
    408: ("body_too_slow", "The body did not come in time.", "Send it again, at once."),
    413: (asked.BodyTooLarge.code, "The body is larger than is read.", asked.BodyTooLarge.default_hint),
}


_UNREAD: Final = (408, 413)
_NO_JSON: Final = "Send the body as JSON, with the header `Content-Type: application/json`."


class InvalidField(BaseModel):
    """One thing that is wrong with a request."""

    at: str = Field(description="Where: body.pageId, query.limit, ...", examples=["body.pageId"])
    problem: str = Field(description="What is wrong with it.", examples=["Field required"])


class Problem(BaseModel):
    """What went wrong, as RFC 9457 has it."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        json_schema_extra={
            "example": {
                "type": "urn:inboxsync:problem:page_unknown",
                "title": "Not Found",
                "status": 404,
                "detail": "There is no Page 0190 in the database.",
                "code": "page_unknown",
                "hint": "Add it with `inboxsync pages add PAGE_ID`.",
                "requestId": "3f6c1f0e9d5b4b0e",
            }
        },
    )

    type: str
    title: str
    status: int
    detail: str = Field(description="One sentence.")
    code: str = Field(description="Stable, for programs.")
    hint: str = Field(description="The next thing to do.")
    request_id: str | None = Field(default=None, description="As in the log's lines.")
    errors: list[InvalidField] | None = Field(default=None, description="Every field that is wrong.")


def status_of(error: errors.InboxsyncError) -> int:
    """The HTTP status for an error of ours."""
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)


def status_of_code(code: str) -> int:
    """The HTTP status for the error with this code, as a run keeps it."""
    kinds = [errors.InboxsyncError]
    while kinds:
        kind = kinds.pop()
        if kind.code == code:
            return next((status for known, status in _STATUSES if issubclass(kind, known)), 500)
        kinds += kind.__subclasses__()
    return 502


def problem(
    status: int,
    *,
    code: str,
    detail: str,
    hint: str = "",
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> JSONResponse:
    """A problem, ready to be sent. `more` are members beside those of every problem."""
    told = {
        "type": f"urn:inboxsync:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "hint": hint,
        "requestId": structlog.contextvars.get_contextvars().get("request_id"),
    }
    return JSONResponse(
        {name: value for name, value in told.items() if value is not None} | dict(more or {}),
        status_code=status,
        headers=dict(headers or {}),
        media_type=MEDIA_TYPE,
    )


def problem_of(error: errors.InboxsyncError, more: Mapping[str, Any] | None = None) -> JSONResponse:
    """An error of ours as its caller is told it."""
    headers = {}
    if isinstance(error, asked.KeyMissing | asked.KeyInvalid):
        headers["WWW-Authenticate"] = 'Bearer realm="inboxsync"'
    if seconds := getattr(error, "retry_after_seconds", None):
        headers["Retry-After"] = str(seconds)
    return problem(
        status_of(error), code=error.code, detail=error.message, hint=error.hint, headers=headers, more=more
    )


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For the OpenAPI document: these statuses are problems."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status in sorted(set(statuses))
    }


def add_problem_handlers(app: FastAPI) -> None:
    """Have every error leave this app as a problem."""
    app.add_exception_handler(errors.InboxsyncError, _on_ours)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(asked.NothingToFollow, _on_nothing)


async def _on_ours(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.InboxsyncError)  # noqa: S101 - it was registered for nothing else
    if status_of(error) >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("request failed", code=error.code, problem=error.message)
    return problem_of(error)


async def _on_nothing(_request: Request, _error: Exception) -> Response:
    return Response(status_code=204)


async def _on_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - likewise
    wrong = [{"at": ".".join(map(str, each["loc"])), "problem": str(each["msg"])} for each in error.errors()]
    return problem(
        422,
        code=asked.RequestInvalid.code,
        detail=f"The request is not understood: {wrong[0]['at']}: {wrong[0]['problem']}."
        if wrong
        else "The request is not understood.",
        hint=_NO_JSON if _has_body_of_another_kind(request, error) else asked.RequestInvalid.default_hint,
        more={"errors": wrong},
    )


def _has_body_of_another_kind(request: Request, error: RequestValidationError) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = kind.startswith("application/") and kind.endswith(("/json", "+json"))
    return not is_json and any(tuple(each["loc"]) == ("body",) for each in error.errors())


async def _on_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - likewise
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        # Each of its routes knows its own alone.
        error.headers = {"Allow": ", ".join(request.app.state.methods_at(request.url.path))}
    known = _OF_HTTP.get(error.status_code)
    code, detail, hint = known or (
        asked.RequestInvalid.code,
        "The request cannot be read.",
        asked.RequestInvalid.default_hint,
    )
    headers = dict(error.headers or {})
    if error.status_code in _UNREAD:
        # The rest of the body is not waited for.
        headers["Connection"] = "close"
    return problem(error.status_code, code=code, detail=detail, hint=hint, headers=headers)

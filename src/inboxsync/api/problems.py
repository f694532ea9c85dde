"""Errors as RFC 9457 problem details: a stable `code`, one sentence, and the next thing to do.

The errors of a request are listed here, each with its HTTP status; all others are in `inboxsync.errors`.
A problem never repeats what the client sent: a body may contain a token.

    RequestError           a request that this service does not fulfil
      RequestInvalid       its fields or its body are not usable
        CursorInvalid      a cursor that this list did not return
      ConversationUnknown  the database has no such conversation
      ContactUnknown       the database has no such contact
      VerificationUnknown  this Page was never verified
      PageMismatch         two ids that name different Pages
      FirstKeyTooSmall     the first API key, if it may not do everything
      LastAdminKey         the last API key that may do everything shall be revoked
      BodyTooLarge         a body above the limit
      HostUnknown          a Host header that this service does not answer to
      OriginRefused        a request from another site's page
      KeyMissing           no API key was sent
      KeyInvalid           an unknown or revoked API key
      KeyGuessing          too many invalid keys from one address
      ScopeTooSmall        an API key without the scope that this needs
      QueueUnavailable     this service was started without a queue
      ExportsBusy          as many exports as may be are being sent
      AnswerTooLate        the request could not be completed in time
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar, Final

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from starlette.exceptions import HTTPException

from inboxsync import errors

log = structlog.get_logger("inboxsync.api")


class RequestError(errors.InboxsyncError):
    """A request that this service does not fulfil."""

    code = "request_error"
    status: ClassVar[int] = 422


class RequestInvalid(RequestError):
    """Its fields or its body are not usable."""

    code = "request_invalid"
    default_hint = "Correct it and send it again; /docs shows what is accepted."


class CursorInvalid(RequestInvalid):
    """A cursor that this list did not return."""

    code = "cursor_invalid"
    default_hint = "Begin again without a cursor, and pass on `nextCursor` unchanged."


class ConversationUnknown(RequestError):
    """The database has no such conversation."""

    code = "conversation_unknown"
    status = 404
    default_hint = "GET /api/v1/conversations lists the conversations, with our own ids."


class ContactUnknown(RequestError):
    """The database has no such contact."""

    code = "contact_unknown"
    status = 404
    default_hint = "GET /api/v1/contacts lists the contacts."


class VerificationUnknown(RequestError):
    """This Page was never verified."""

    code = "verification_unknown"
    status = 404
    default_hint = "POST to the Page's /verify first."


class PageMismatch(RequestError):
    """Two ids that name different Pages."""

    code = "page_mismatch"
    status = 409
    default_hint = "pageId is facebook_pages.id and facebookPageId is Meta's: GET /api/v1/pages has both."


class FirstKeyTooSmall(RequestError):
    """The first API key, if it may not do everything: it would lock out everybody who could make another."""

    code = "first_key_too_small"
    default_hint = "With a smaller one nobody could add a Page or create another key: choose the scope admin."


class LastAdminKey(RequestError):
    """The last API key that may do everything shall be revoked, and nobody has confirmed it."""

    code = "last_admin_key"
    status = 409
    default_hint = (
        "Without it nobody can add Pages or create keys, until someone with a terminal on the server runs "
        "`inboxsync keys create NAME --scope admin`. Add `confirm=true` if you want that."
    )


class BodyTooLarge(RequestError):
    """A body above the limit."""

    code = "body_too_large"
    status = 413
    default_hint = "No request of this service needs so much; INBOXSYNC_MAX_BODY_BYTES sets the limit."


class HostUnknown(RequestError):
    """A Host header that this service does not answer to: a web page may have pointed its name here."""

    code = "host_unknown"
    status = 400
    default_hint = "Name the host in INBOXSYNC_ALLOWED_HOSTS."


class OriginRefused(RequestError):
    """A page of another site sent the request, without a key."""

    code = "origin_refused"
    status = 403
    default_hint = "Send an API key, or name the site in INBOXSYNC_CORS_ORIGINS."


class KeyMissing(RequestError):
    """No API key was sent."""

    code = "key_missing"
    status = 401
    default_hint = "Send `Authorization: Bearer KEY` or `X-API-Key: KEY`; `inboxsync keys create` makes one."


class KeyInvalid(RequestError):
    """An unknown or revoked API key."""

    code = "key_invalid"
    status = 401
    default_hint = "`inboxsync keys list` shows all keys, and `inboxsync keys create` makes a new one."


class KeyGuessing(RequestError):
    """Too many invalid keys came from one address."""

    code = "key_guessing"
    status = 429
    default_hint = "Wait for the time in Retry-After, then send a valid key."


class ScopeTooSmall(RequestError):
    """An API key without the scope that this needs."""

    code = "scope_too_small"
    status = 403
    default_hint = "`inboxsync keys create NAME --scope sync` (or admin) makes a key that may do more."


class QueueUnavailable(RequestError):
    """This service was started without a queue, so it cannot start a run."""

    code = "queue_unavailable"
    status = 503
    default_hint = "Start it with `inboxsync serve`."


class ExportsBusy(RequestError):
    """As many exports as may be are being sent."""

    code = "exports_busy"
    status = 503
    retry_after_seconds: ClassVar[int] = 10
    default_hint = "Wait until one has ended, then try again."


class AnswerTooLate(RequestError):
    """The request could not be completed in time."""

    code = "answer_too_late"
    status = 503
    default_hint = "Send it again: a run that was started continues."


class NothingToFollow(Exception):
    """A client reconnects but has received the last event: 204 makes an EventSource stop."""


MEDIA_TYPE: Final = "application/problem+json"
# All errors that are not a RequestError. The first match counts: the special before the general.
_STATUSES: Final[tuple[tuple[type[errors.InboxsyncError], int], ...]] = (
    (errors.RunUnknown, 404),
    (errors.SettingsInvalid, 422),
    (errors.SearchInvalid, 422),
    (errors.PageUnknown, 404),
    (errors.PageAmbiguous, 409),
    (errors.ApiKeyUnknown, 404),
    (errors.ApiKeyNameTaken, 409),
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
    408: ("body_too_slow", "The body did not arrive in time.", "Send it again without a pause."),
    413: (BodyTooLarge.code, "The body is larger than the limit.", BodyTooLarge.default_hint),
}
_UNREAD: Final = (408, 413)
# The kind of a problem: a body was sent where none is taken.
NO_BODY: Final = "no_body"
_NO_JSON: Final = "Send the body as JSON, with the header `Content-Type: application/json`."


class InvalidField(BaseModel):
    """One thing that is wrong with a request."""

    at: str = Field(description="Where: body.pageId, query.limit, ...", examples=["body.pageId"])
    problem: str = Field(description="What is wrong with it.", examples=["Field required"])


class Problem(BaseModel):
    """What went wrong, as RFC 9457 describes it."""

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
    request_id: str | None = Field(default=None, description="The same as in the service's log.")
    errors: list[InvalidField] | None = Field(default=None, description="Every field that is wrong.")


def status_of(error: errors.InboxsyncError) -> int:
    """The HTTP status of an error."""
    return _status_of_kind(type(error))


def status_of_code(code: str) -> int:
    """The HTTP status of the error with this code, as a run stores it."""
    kinds = [errors.InboxsyncError]
    while kinds:
        kind = kinds.pop()
        if kind.code == code:
            return _status_of_kind(kind)
        kinds += kind.__subclasses__()
    return 502


def _status_of_kind(kind: type[errors.InboxsyncError]) -> int:
    if issubclass(kind, RequestError):
        return kind.status
    return next((status for known, status in _STATUSES if issubclass(kind, known)), 500)


def problem(
    status: int,
    *,
    code: str,
    detail: str,
    hint: str = "",
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> JSONResponse:
    """A problem as a response. `more` are members beside those that every problem has."""
    members = {
        "type": f"urn:inboxsync:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "hint": hint,
        "requestId": structlog.contextvars.get_contextvars().get("request_id"),
    }
    return JSONResponse(
        {name: value for name, value in members.items() if value is not None} | dict(more or {}),
        status_code=status,
        headers=dict(headers or {}),
        media_type=MEDIA_TYPE,
    )


def problem_of(error: errors.InboxsyncError) -> JSONResponse:
    """An error as a response."""
    headers = {}
    if isinstance(error, KeyMissing | KeyInvalid):
        headers["WWW-Authenticate"] = 'Bearer realm="inboxsync"'
    if seconds := getattr(error, "retry_after_seconds", None):
        headers["Retry-After"] = str(seconds)
    return problem(status_of(error), code=error.code, detail=error.message, hint=error.hint, headers=headers)


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
    """Turn every error of this app into a problem."""
    app.add_exception_handler(errors.InboxsyncError, _on_ours)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(NothingToFollow, _on_nothing)


async def _on_ours(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.InboxsyncError)  # noqa: S101 - registered for this class only
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
        code=RequestInvalid.code,
        detail=f"The request is not valid: {wrong[0]['at']}: {wrong[0]['problem']}."
        if wrong
        else "The request is not valid.",
        hint=_NO_JSON if _has_body_of_another_kind(request, error) else RequestInvalid.default_hint,
        more={"errors": wrong},
    )


def _has_body_of_another_kind(request: Request, error: RequestValidationError) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = kind.startswith("application/") and kind.endswith(("/json", "+json"))
    return not is_json and any(
        tuple(each["loc"]) == ("body",) and each["type"] != NO_BODY for each in error.errors()
    )


async def _on_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - likewise
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        # Each route of this address knows only its own method.
        error.headers = {"Allow": ", ".join(request.app.state.methods_at(request.url.path))}
    known = _OF_HTTP.get(error.status_code)
    code, detail, hint = known or (
        RequestInvalid.code,
        "The request cannot be read.",
        RequestInvalid.default_hint,
    )
    headers = dict(error.headers or {})
    if error.status_code in _UNREAD:
        # The rest of the body is not read.
        headers["Connection"] = "close"
    return problem(error.status_code, code=code, detail=detail, hint=hint, headers=headers)

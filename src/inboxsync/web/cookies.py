"""The session's cookie: no script reads it, no other site sends it, and where there is https that alone."""

from starlette.requests import Request
from starlette.responses import Response

COOKIE = "inboxsync_session"


def put_cookie(response: Response, request: Request, value: str) -> None:
    """Give the browser its session. It is forgotten when the browser is closed."""
    response.set_cookie(COOKIE, value, path="/", httponly=True, samesite="strict", secure=_is_https(request))


def drop_cookie(response: Response, request: Request) -> None:
    """Take it back."""
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict", secure=_is_https(request))


def _is_https(request: Request) -> bool:
    return request.url.scheme == "https"

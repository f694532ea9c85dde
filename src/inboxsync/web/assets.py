"""Serves our own stylesheet, scripts and icon; nothing else, and nothing of anybody else's."""

from functools import cache
from importlib.resources import files
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

_TYPES: Final = {
    "style.css": "text/css; charset=utf-8",
    "live.js": "text/javascript; charset=utf-8",
    "times.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


async def serve_file(request: Request) -> Response:
    """One of our files. Its address has its digest, so it never changes under a browser that keeps it."""
    name = request.path_params["name"]
    if name not in _TYPES:
        raise HTTPException(404)
    return Response(
        _read(name),
        media_type=_TYPES[name],
        headers={
            "Cache-Control": "public, max-age=31536000, immutable",
            "Content-Security-Policy": "default-src 'none'",
            "X-Content-Type-Options": "nosniff",
        },
    )


@cache
def _read(name: str) -> bytes:
    return files("inboxsync.web").joinpath("static", name).read_bytes()

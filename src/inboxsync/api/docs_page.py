"""`/docs`: a page of our own that shows the OpenAPI document. Nothing of it comes from elsewhere."""

from functools import cache
from importlib.resources import files
from typing import Final

from fastapi import APIRouter, HTTPException, Response

router = APIRouter(prefix="/docs", include_in_schema=False)

_CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_FILES: Final = {
    "page.css": ("docs.css", "text/css; charset=utf-8"),
    "page.js": ("docs.js", "text/javascript; charset=utf-8"),
}


@router.get("")
async def show_docs() -> Response:
    """The page."""
    return Response(
        _read("docs.html"), media_type="text/html; charset=utf-8", headers={"Content-Security-Policy": _CSP}
    )


@router.get("/{name}")
async def get_docs_file(name: str) -> Response:
    """Its style and its script."""
    if name not in _FILES:
        raise HTTPException(404)
    file, media_type = _FILES[name]
    return Response(_read(file), media_type=media_type)


@cache
def _read(name: str) -> bytes:
    return (files("inboxsync.api") / "static" / name).read_bytes()

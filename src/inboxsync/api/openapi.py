"""The OpenAPI document, what follows from it, and `/docs`: a page of our own that shows it."""

import re
from functools import cache
from importlib.resources import files
from typing import Any, Final

from fastapi import APIRouter, FastAPI, HTTPException, Response
from fastapi.openapi.utils import get_openapi

from inboxsync.api.auth import SECURITY_SCHEMES
from inboxsync.api.middleware import takes_head
from inboxsync.api.problems import Problem

router = APIRouter(prefix="/docs", include_in_schema=False)

_REF = "#/components/schemas/{model}"
_CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_FILES: Final = {
    "page.css": ("docs.css", "text/css; charset=utf-8"),
    "page.js": ("docs.js", "text/javascript; charset=utf-8"),
}


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """Built once: FastAPI's, with the shape of problems, the ways to send a key, and no null parameter."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        components = made.setdefault("components", {})
        schemas = components.setdefault("schemas", {})
        problem = Problem.model_json_schema(ref_template=_REF)
        schemas |= problem.pop("$defs", {}) | {"Problem": problem}
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        components["securitySchemes"] = SECURITY_SCHEMES
        for operation in _operations(made):
            for parameter in operation.get("parameters", []):
                parameter["schema"] = _without_null(parameter["schema"])
        app.openapi_schema = made
    return app.openapi_schema


def methods_at(app: FastAPI, path: str) -> list[str]:
    """The methods that an address takes, for the header `Allow`."""
    for template, methods in openapi_document(app)["paths"].items():
        if re.fullmatch(re.sub(r"\\{[^}]+\\}", "[^/]+", re.escape(template)), path):
            taken = {method.upper() for method in methods}
            return sorted(taken | {"HEAD"} if "GET" in taken and takes_head(path) else taken)
    return ["GET", "HEAD"]


def _operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for methods in document["paths"].values() for operation in methods.values()]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter may be left out; it is text, so it cannot be null."""
    kinds: list[dict[str, Any]] = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    rest = {name: value for name, value in schema.items() if name != "anyOf"}
    return kinds[0] | rest


@router.get("")
async def show_docs() -> Response:
    """The page. It loads nothing from other servers."""
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

"""The OpenAPI document, and what follows from it."""

import re
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from inboxsync.api.middleware import takes_head
from inboxsync.api.problems import Problem

_REF = "#/components/schemas/{model}"


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """Made once: with the shape of problems, to which every route refers; no parameter is null."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        problem = Problem.model_json_schema(ref_template=_REF)
        schemas |= problem.pop("$defs", {}) | {"Problem": problem}
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        for operation in _operations(made):
            for parameter in operation.get("parameters", []):
                parameter["schema"] = _without_null(parameter["schema"])
        app.openapi_schema = made
    return app.openapi_schema


def methods_at(app: FastAPI, path: str) -> list[str]:
    """The methods that an address takes, as `Allow` names them."""
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

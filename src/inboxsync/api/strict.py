"""What a request may contain: names that its address does not know are refused, and so is a name sent twice.

A name that is ignored would be misread without a word: `conversations?pageid=...` would list the customers of
every Page. Each name has two spellings, `hasPhone` and `has_phone`, and a Page is `page` or `pageId`. In a
query they become the documented name before FastAPI reads it.
"""

import difflib
import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args, get_origin
from urllib.parse import parse_qsl, urlencode

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.alias_generators import to_snake

from inboxsync.api.problems import NO_BODY

# The names of a Page, folded: one stands for the other.
_PAGE: Final = frozenset({"page", "pageid"})
_LONGEST_NAME: Final = 64
_ALIKE = 0.6


@dataclass(frozen=True, slots=True)
class _Names:
    """The names that an address takes in one place. `many`: those that may be sent more than once."""

    known: tuple[str, ...]
    many: frozenset[str] = frozenset()

    def meant(self, sent: str) -> str | None:
        """The documented name that this spelling means; None for one that is not known."""
        for name in self.known:
            if sent in (name, to_snake(name)) or {_folded(sent), _folded(name)} <= _PAGE:
                return name
        return None

    def nearest(self, sent: str) -> str | None:
        """The known name that is written most like this one, if any is."""
        folded = {_folded(name): name for name in self.known}
        found = difflib.get_close_matches(_folded(sent), folded, n=1, cutoff=_ALIKE)
        return folded[found[0]] if found else None


async def refuse_unknown(request: Request) -> None:
    """Raises RequestValidationError for names in the query or the body that the address does not take."""
    taken = _taken_by(request.scope["route"])
    sent = _query_of(request)
    wrong = [_unknown("query", name, taken.query) for name, _ in sent if taken.query.meant(name) is None]
    _raise(wrong + _repeated("query", [name for name, _ in sent], taken.query))
    _put_query(request, sent, taken.query)
    if taken.body is None:
        if await _has_content(request):
            _raise([_wrong(("body",), "This address takes no body") | {"type": NO_BODY}])
        return
    names = [name for name, _ in await _members(request)]
    wrong = [_unknown("body", name, taken.body) for name in names if taken.body.meant(name) is None]
    _raise(wrong + _repeated("body", names, taken.body))


async def refuse_misread(request: Request) -> None:
    """The same for the compatible endpoints, whose callers may send names of their own.

    Refused is only what would be misread: a known name twice with different values, or in a third spelling.
    """
    taken = _taken_by(request.scope["route"])
    sent = _query_of(request)
    _raise(_misread("query", sent, taken.query))
    _put_query(request, sent, taken.query)
    if taken.body is not None:
        _raise(_misread("body", await _members(request), taken.body))


@dataclass(frozen=True, slots=True)
class _Taken:
    """What an address takes: names in the query, and fields of the body if it has one."""

    query: _Names
    body: _Names | None


_KNOWN: Final[dict[Callable[..., Any], _Taken]] = {}


def _taken_by(route: APIRoute) -> _Taken:
    if route.endpoint not in _KNOWN:
        _KNOWN[route.endpoint] = _read_route(route)
    return _KNOWN[route.endpoint]


def _read_route(route: APIRoute) -> _Taken:
    names, many = list[str](), set[str]()
    waiting = [route.dependant]
    while waiting:
        dependant = waiting.pop()
        waiting += dependant.dependencies
        for each in dependant.query_params:
            annotation = each.field_info.annotation
            names += _fields_of(annotation) or [each.alias]
            if any(get_origin(kind) is list for kind in (annotation, *get_args(annotation))):
                many.add(each.alias)
    body = route.body_field
    return _Taken(
        _Names(tuple(names), frozenset(many)),
        _Names(_fields_of(body.field_info.annotation)) if body is not None else None,
    )


def _fields_of(annotation: Any) -> tuple[str, ...]:  # noqa: ANN401 - a type
    """The names of a model's fields, as they are documented; none for what is no model."""
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return tuple(field.alias or name for name, field in kind.model_fields.items())
    return ()


def _query_of(request: Request) -> list[tuple[str, str]]:
    return parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)


def _put_query(request: Request, sent: Iterable[tuple[str, str]], names: _Names) -> None:
    """Let FastAPI read the documented names."""
    named = [(names.meant(name), name, value) for name, value in sent]
    if any(meant not in (None, name) for meant, name, _ in named):
        known = {name for meant, name, _ in named if meant == name}
        pairs = [
            (meant or name, value)
            for meant, name, value in named
            if meant in (None, name) or meant not in known
        ]
        request.scope["query_string"] = urlencode(pairs).encode("ascii")
        # Starlette keeps what it has read for the dependencies before this one.
        vars(request).pop("_query_params", None)


async def _has_content(request: Request) -> bool:
    """Whether a body was sent that says something. Most requests have none, and nothing is read then."""
    if request.headers.get("content-length", "0") == "0" and "transfer-encoding" not in request.headers:
        return False
    return (await request.body()).strip() not in (b"", b"{}", b"null")


async def _members(request: Request) -> list[tuple[str, Any]]:
    """The members of a JSON body, with those that are sent twice; none for anything else."""
    try:
        read = json.loads(await request.body() or b"null", object_pairs_hook=_Members)
    except (ValueError, RecursionError):
        return []  # FastAPI has refused it already, or it is no JSON
    return list(read) if isinstance(read, _Members) else []


class _Members(list[tuple[str, Any]]):
    """An object as it was written."""


def _repeated(place: str, sent: Sequence[str], names: _Names) -> list[dict[str, Any]]:
    seen: set[str] = set()
    wrong = []
    for name in sent:
        meant = names.meant(name) or name
        if meant in seen and meant not in names.many:
            wrong.append(_wrong((place, name), f"{_shown(meant)} is sent more than once"))
        seen.add(meant)
    return wrong


def _misread(place: str, sent: Sequence[tuple[str, Any]], names: _Names) -> list[dict[str, Any]]:
    values: dict[str, Any] = {}
    wrong = []
    for name, value in sent:
        meant = names.meant(name)
        if meant is None:
            nearest = next((each for each in names.known if _folded(each) == _folded(name)), None)
            if nearest is not None:
                wrong.append(_unknown(place, name, names))
        elif _is_own(name, meant) and values.setdefault(meant, value) != value:
            wrong.append(_wrong((place, name), f"{meant} is sent more than once, with different values"))
    return wrong


def _is_own(name: str, meant: str) -> bool:
    """Whether this is a spelling of that name, and not another word for a Page."""
    return _folded(name) == _folded(meant)


def _unknown(place: str, name: str, names: _Names) -> dict[str, Any]:
    what = "parameter" if place == "query" else "field"
    nearest = names.nearest(name)
    if nearest is not None:
        return _wrong((place, name), f"There is no such {what}; {nearest} may be meant")
    takes = f"this address takes {_listed(names.known)}" if names.known else "this address takes none"
    return _wrong((place, name), f"There is no such {what}; {takes}")


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names))


def _wrong(place: tuple[str, ...], problem: str) -> dict[str, Any]:
    return {"type": "strict", "loc": tuple(map(_shown, place)), "msg": problem, "input": None}


def _shown(name: str) -> str:
    """A name that was sent: it may be anything."""
    return "".join(sign if sign.isprintable() else "?" for sign in name[:_LONGEST_NAME])


def _raise(wrong: list[dict[str, Any]]) -> None:
    if wrong:
        raise RequestValidationError(wrong)


def _folded(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()

"""Parses `fields`: names, arguments, expansions (graph-facts 1.7).

id,updated_time,messages.limit(10){id,from,attachments{id,name}}
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from inboxsync.sandbox.refusal import bad_syntax

_TOKEN = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*|\.|,|\{|\}|\([^()]*\))\s*")
_DEEPEST = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field asked for; `inner` is None if it was not expanded."""

    name: str
    arguments: dict[str, str] = field(default_factory=dict)
    inner: tuple["Field", ...] | None = None

    @property
    def shown(self) -> str:
        """The key in the answer: its name, or the alias of `.as(...)`."""
        return self.arguments.get("as", self.name)


def parse_fields(text: str) -> tuple[Field, ...]:
    """The fields asked for, in order. Raises Refusal 2500 for what Graph cannot parse."""
    tokens = list(_tokens(text))
    parser = _Parser(text, tokens)
    fields = parser.fields(depth=0)
    if parser.at < len(tokens):
        raise bad_syntax(text)
    return fields


def defaults(names: Iterable[str]) -> tuple[Field, ...]:
    """The fields that are served if none are asked for."""
    return tuple(Field(name=name) for name in names)


def _tokens(text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise bad_syntax(text)
        yield match[1]
        at = match.end()


class _Parser:
    def __init__(self, text: str, tokens: list[str]) -> None:
        self._text = text
        self._tokens = tokens
        self.at = 0

    def fields(self, *, depth: int) -> tuple[Field, ...]:
        if depth > _DEEPEST:
            raise bad_syntax(self._text)
        found = [self._field(depth)]
        while self._take(","):
            if self._peek() in (None, "}"):
                break  # a trailing comma is tolerated
            found.append(self._field(depth))
        return tuple(found)

    def _field(self, depth: int) -> Field:
        name = self._next()
        if not name[0].isalpha() and name[0] != "_":
            raise bad_syntax(self._text)
        arguments = {}
        while self._take("."):
            key = self._next()
            value = self._next()
            if not value.startswith("("):
                raise bad_syntax(self._text)
            arguments[key] = value[1:-1].strip()
        inner = None
        if self._take("{"):
            inner = self.fields(depth=depth + 1)
            if not self._take("}"):
                raise bad_syntax(self._text)
        return Field(name=name, arguments=arguments, inner=inner)

    def _peek(self) -> str | None:
        return self._tokens[self.at] if self.at < len(self._tokens) else None

    def _next(self) -> str:
        token = self._peek()
        if token is None:
            raise bad_syntax(self._text)
        self.at += 1
        return token

    def _take(self, token: str) -> bool:
        if self._peek() != token:
            return False
        self.at += 1
        return True

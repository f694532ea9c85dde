"""Finds messages that have all the words of a query, newest first or best first, the same on both databases.

Both indexes hold words without their positions, so they only say where to look. Whether a message has a
phrase is looked up in its own `terms`. Two steps keep the time bounded. First the newest messages are read:
common words are found there at once, while the index would list all their messages to be sorted. Rare words
are then found by the index.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import chain, count
from typing import Any, Final

from sqlalchemy import Connection, Select, TextClause, and_, bindparam, func, select, text

from inboxsync.store.connection.statements import is_postgresql
from inboxsync.store.search.places import first_id
from inboxsync.store.search.query import Pattern, Query
from inboxsync.store.tables import message_index, messages, messenger_conversations
from inboxsync.store.tables.triggers import SEARCH_TABLE

# How many of the newest messages are read first.
_NEWEST: Final = 20_000
# By rank, only so many of the newest found messages are compared.
RANKED: Final = 1_000
# How many are counted, and how many that the index names are looked up for it.
COUNTED: Final = 1_000
_LOOKED_UP: Final = 10_000
_LAST_ID: Final = 2**63 - 1
_ID: Final = re.compile(r"[A-Za-z0-9_-]+")
# The beginning of a word with fewer letters selects too little.
_RELEVANT: Final = 3
# Added to a message's number of words, so that a very short message is not best only because it is short.
_EVEN: Final = 4
_VECTOR: Final = "array_to_tsvector(string_to_array('@' || i.page_id || rtrim(i.terms), ' '))"


# Scalar subqueries, because a planner could turn joins around: only what is found is looked up.
_IS_THERE: Final = """
  (SELECT c.conversation_status FROM messenger_conversations AS c WHERE c.id = i.conversation_id) <> 'gone'
  AND (SELECT m.is_readable FROM messages AS m
    WHERE m.conversation_id = i.conversation_id AND m.message_id = i.message_id)"""


class Order(StrEnum):
    """What comes first."""

    NEWEST = "newest"
    RANK = "rank"


# The key to continue behind: newest first (id,); by rank (score, id, the newest id that was ranked).
SearchKey = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundMessage:
    """A message that matches. `highlights` are the ranges of its text, in characters, that match.

    `conversation_id` is ours, `graph_conversation_id` Graph's; `sender_name` is the contact's.
    """

    page_id: str
    conversation_id: str
    graph_conversation_id: str
    folder: str
    contact_id: str | None
    contact_name: str | None
    message_id: str
    sent_at: datetime | None
    is_from_page: bool
    text: str
    highlights: tuple[tuple[int, int], ...]
    key: SearchKey


@dataclass(frozen=True, slots=True)
class Total:
    """How many messages match: exactly so many, or more than these."""

    count: int
    is_exact: bool

    @property
    def text(self) -> str:
        """Such as `1 message` or `more than 1,000 messages`."""
        messages = "message" if self.count == 1 and self.is_exact else "messages"
        return f"{'' if self.is_exact else 'more than '}{self.count:,} {messages}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundMessages:
    """Some of the messages found, and the key to continue behind; None at the end.

    `total` is how many there are in all, where that was asked for.
    """

    messages: tuple[FoundMessage, ...]
    next: SearchKey | None
    total: Total | None = None


@dataclass(frozen=True, slots=True)
class _Hit:
    id: int
    terms: str


def search_messages(
    connection: Connection,
    query: Query,
    *,
    page_id: str | Collection[str] | None = None,
    since: datetime | None = None,
    order: Order = Order.NEWEST,
    after: SearchKey | None = None,
    limit: int = 20,
    with_total: bool = False,
) -> FoundMessages:
    """Messages that have all patterns of the query, without those of conversations that are gone.

    From one Page (our id), several, or all. `with_total` counts them, up to `COUNTED`.
    """
    page_ids = [page_id] if isinstance(page_id, str) else None if page_id is None else sorted(page_id)
    if page_ids is not None:
        # They become part of an expression: what no id of ours is written like belongs to no Page.
        page_ids = [each for each in page_ids if _ID.fullmatch(each)]
    if page_ids == []:
        return FoundMessages(messages=(), next=None, total=Total(0, is_exact=True) if with_total else None)
    search = _Search(connection, query, page_ids=page_ids, since=since)
    if order is Order.RANK:
        keys, following = _ranked(search, after, limit)
    else:
        hits = search.newest(below=after[0] if after else _LAST_ID, limit=limit + 1)
        keys = [(hit.id,) for hit in hits[:limit]]
        following = keys[-1] if len(hits) > limit else None
    total = None
    if with_total:
        is_all = after is None and following is None
        total = Total(len(keys), is_exact=True) if is_all else search.total()
    return FoundMessages(messages=tuple(search.messages(keys, order)), next=following, total=total)


def _ranked(
    search: "_Search", after: SearchKey | None, limit: int
) -> tuple[list[SearchKey], SearchKey | None]:
    hits = search.newest(below=after[2] + 1 if after else _LAST_ID, limit=RANKED)
    if not hits:
        return [], None
    newest = after[2] if after else hits[0].id
    keys: list[SearchKey] = sorted(((search.score(hit.terms), hit.id, newest) for hit in hits), reverse=True)
    rest = [key for key in keys if after is None or key < after]
    return rest[:limit], rest[limit - 1] if len(rest) > limit else None


class _Search:
    """One query in one transaction."""

    def __init__(
        self, connection: Connection, query: Query, *, page_ids: list[str] | None, since: datetime | None
    ) -> None:
        self._connection = connection
        self._query = query
        self._is_postgresql = is_postgresql(connection)
        self._place = "strpos" if self._is_postgresql else "instr"
        self._page_ids = page_ids
        self._values: dict[str, object] = {"first": first_id(since)}
        if page_ids is not None:
            self._values["pages"] = page_ids
        patterns = chain(query.patterns, query.excluded)
        self._values |= {f"p{number}": pattern.text for number, pattern in enumerate(patterns)}

    def newest(self, *, below: int, limit: int) -> list[_Hit]:
        """The newest messages below this id that match, newest first."""
        values = self._values | {"below": below, "limit": limit, "newest": _NEWEST}
        found = self._hits(self._among_newest(), values)
        if len(found) < limit:
            found = self._hits(self._by_index(), values | {"match": self._match()})
        return found

    def total(self) -> Total:
        """How many match: exactly, up to a bound, if that is known after little work."""
        values = self._values | {"below": _LAST_ID, "limit": COUNTED + 1, "newest": _NEWEST}
        (among_newest,) = self._row(f"SELECT count(*) FROM ({self._among_newest()}) AS found", values)  # noqa: S608
        if among_newest > COUNTED or not self._has_more_than(_NEWEST):
            return Total(min(among_newest, COUNTED), is_exact=among_newest <= COUNTED)
        values |= {"match": self._match(), "most": _LOOKED_UP}
        named, matching = self._row(self._count_by_index(), values)
        count = min(max(among_newest, matching), COUNTED)
        return Total(count, is_exact=named < _LOOKED_UP and matching <= COUNTED)

    def messages(self, keys: Sequence[SearchKey], order: Order) -> list[FoundMessage]:
        """The messages with these keys, in their order."""
        place = 1 if order is Order.RANK else 0
        rows = {row.id: row for row in self._connection.execute(_messages_of([key[place] for key in keys]))}
        return [self._message(rows[key[place]], key) for key in keys if key[place] in rows]

    def score(self, terms: str) -> int:
        """Which share of a message matches; short messages before long ones."""
        words = terms.count(" ") - 1
        matched = sum(terms.count(pattern.text) * len(pattern.words) for pattern in self._query.patterns)
        return 1000 * matched // (words + _EVEN)

    def _hits(self, sql: str, values: dict[str, object]) -> list[_Hit]:
        return [_Hit(*row) for row in self._connection.execute(self._query_of(sql), values)]

    def _row(self, sql: str, values: dict[str, object]) -> tuple[int, ...]:
        return tuple(self._connection.execute(self._query_of(sql), values).one())

    def _query_of(self, sql: str) -> TextClause:
        query = text(sql)
        if self._page_ids is not None:
            query = query.bindparams(bindparam("pages", expanding=True))
        return query

    def _has_more_than(self, number: int) -> bool:
        index = message_index.c.id
        first = self._values["first"]
        one = select(index).where(index >= first).order_by(index.desc()).offset(number).limit(1)
        return self._connection.execute(one).first() is not None

    def _among_newest(self) -> str:
        return f"""
            SELECT i.id, i.terms FROM (
              SELECT id, page_id, conversation_id, message_id, terms FROM message_index
              WHERE id < :below AND id >= :first ORDER BY id DESC LIMIT :newest
            ) AS i
            WHERE {self._matches()} ORDER BY i.id DESC LIMIT :limit"""  # noqa: S608 - texts of our own

    def _by_index(self) -> str:
        if not self._is_postgresql:
            # CROSS: from the search index to the rows, never the other way round.
            return f"""
                SELECT i.id, i.terms FROM {SEARCH_TABLE} CROSS JOIN message_index AS i
                ON i.id = {SEARCH_TABLE}.rowid
                WHERE {SEARCH_TABLE} MATCH :match
                AND {SEARCH_TABLE}.rowid < :below AND {SEARCH_TABLE}.rowid >= :first
                AND {self._matches()} ORDER BY {SEARCH_TABLE}.rowid DESC LIMIT :limit"""  # noqa: S608
        # The terms are checked first, because they are read anyway. Then in order, so that no more messages
        # are looked up elsewhere than the limit needs.
        return f"""
            WITH found AS MATERIALIZED (
              SELECT i.id, i.page_id, i.conversation_id, i.message_id, i.terms FROM message_index AS i
              WHERE {_VECTOR} @@ CAST(:match AS tsquery) AND i.id < :below AND i.id >= :first
              AND {self._has_terms()}
            )
            SELECT i.id, i.terms FROM (SELECT * FROM found ORDER BY id DESC OFFSET 0) AS i
            WHERE {_IS_THERE} ORDER BY i.id DESC LIMIT :limit"""  # noqa: S608

    def _count_by_index(self) -> str:
        """How many messages the index names, up to `:most`, and how many of these match, up to `:limit`."""
        named, looked_up = (
            (
                f"SELECT * FROM message_index AS i WHERE {_VECTOR} @@ CAST(:match AS tsquery)",  # noqa: S608
                "named AS i",
            )
            if self._is_postgresql
            else (
                f"SELECT rowid AS id FROM {SEARCH_TABLE} WHERE {SEARCH_TABLE} MATCH :match",  # noqa: S608
                "named CROSS JOIN message_index AS i ON i.id = named.id",
            )
        )
        number = "i.id" if self._is_postgresql else "rowid"
        return f"""
            WITH named AS MATERIALIZED ({named} AND {number} >= :first LIMIT :most)
            SELECT (SELECT count(*) FROM named),
              (SELECT count(*) FROM (SELECT 1 FROM {looked_up} WHERE {self._matches()} LIMIT :limit) AS found)
            """  # noqa: S608 - texts of our own

    def _matches(self) -> str:
        return f"{self._has_terms()} AND {_IS_THERE}"

    def _has_terms(self) -> str:
        number = count()
        conditions = [
            f"({' OR '.join(f'{self._place}(i.terms, :p{next(number)}) > 0' for _ in group)})"
            for group in self._query.groups
        ]
        conditions += [f"{self._place}(i.terms, :p{next(number)}) = 0" for _ in self._query.excluded]
        if self._page_ids is not None:
            conditions.append("i.page_id IN :pages")
        return " AND ".join(conditions)

    def _match(self) -> str:
        """The words for the index: all except short beginnings, which may match half of all words."""
        relevant = [group for group in self._query.groups if all(map(_is_relevant, group))]
        if relevant:
            return self._all_of(relevant, _RELEVANT)
        return self._all_of(self._query.groups, 1)

    def _all_of(self, groups: Sequence[Sequence[Pattern]], shortest: int) -> str:
        """The groups, and the Pages, in the words of the index; of beginnings those that are long enough."""
        either, both = (" | ", " & ") if self._is_postgresql else (" OR ", " AND ")
        quote = "'" if self._is_postgresql else '"'
        parts = [
            either.join(f"({both.join(self._words_of(pattern, shortest))})" for pattern in group)
            for group in groups
        ]
        if self._page_ids:
            parts.append(either.join(f"{quote}@{page_id}{quote}" for page_id in self._page_ids))
        return both.join(f"({part})" for part in dict.fromkeys(parts))

    def _words_of(self, pattern: Pattern, shortest: int) -> list[str]:
        quote, star = ("'", ":*") if self._is_postgresql else ('"', "*")
        words = [f"{quote}{word}{quote}" for word in dict.fromkeys(_whole(pattern))]
        beginning = pattern.words[-1]
        if pattern.is_prefix and (len(beginning) >= shortest or not words):
            words.append(f"{quote}{beginning}{quote}{star}")
        return words

    def _message(self, row: Any, key: SearchKey) -> FoundMessage:  # noqa: ANN401 - a row
        return FoundMessage(
            page_id=row.page_id,
            conversation_id=row.conversation_id,
            graph_conversation_id=row.graph_conversation_id,
            folder=row.folder,
            contact_id=row.contact_id,
            contact_name=row.contact_name,
            message_id=row.message_id,
            sent_at=row.sent_at,
            is_from_page=row.is_from_page,
            text=row.text,
            highlights=self._query.highlights(row.text),
            key=key,
        )


def _is_relevant(pattern: Pattern) -> bool:
    """Whether the index knows what selects: a whole word, or the beginning of one that is long enough."""
    return bool(_whole(pattern)) or len(pattern.words[-1]) >= _RELEVANT


def _whole(pattern: Pattern) -> tuple[str, ...]:
    return pattern.words[:-1] if pattern.is_prefix else pattern.words


def _messages_of(ids: Sequence[int]) -> Select[Any]:
    index, conversations = message_index, messenger_conversations
    of_message = and_(
        messages.c.conversation_id == index.c.conversation_id, messages.c.message_id == index.c.message_id
    )
    return (
        select(
            index.c.id,
            index.c.page_id,
            index.c.conversation_id,
            conversations.c.conversation_id.label("graph_conversation_id"),
            conversations.c.folder,
            conversations.c.sender_id.label("contact_id"),
            conversations.c.sender_name.label("contact_name"),
            messages.c.message_id,
            messages.c.sent_at,
            messages.c.is_from_page,
            func.coalesce(messages.c.text, "").label("text"),
        )
        .join(messages, of_message)
        .join(conversations, conversations.c.id == index.c.conversation_id)
        .where(index.c.id.in_(ids))
    )

"""Finds people by the beginning of any word of their names, through the index of these words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Column, Connection, Select, func, literal, select

from inboxsync.store.derived.lookup import Lookup, Step
from inboxsync.store.search import folded_words
from inboxsync.store.tables import contact_words, contacts

# Nobody reads through more people of one name: then the name must be longer.
MOST_PEOPLE: Final = 1000
# Entries of the rarest word that are looked through for the other words.
_MOST_ENTRIES: Final = 5000
_LAST: Final = chr(0x10FFFF)
_TERMS: Final = Lookup(
    keys=(("page_id", "text"), ("sender_id", "text")),
    steps=(Step("contacts", "t", "t.sender_id = k.sender_id AND t.page_id || '' = k.page_id"),),
    columns="t.page_id, t.sender_id, t.name_terms",
)

# A contact: (our Page id, the contact's id).
Contact = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """Who was found. `is_cut`: there are too many people with such a name to look at all of them."""

    found: frozenset[Contact]
    is_cut: bool


def find_people(connection: Connection, named: str, page_ids: Sequence[str]) -> People:
    """Who has a name in which each of these words, folded, begins a word; as of the last derive pass.

    A name that begins as it was typed is found however many others have its words.
    """
    words = list(dict.fromkeys(folded_words(named)))
    if not words or not page_ids:
        return People(found=frozenset(), is_cut=False)
    begins = _rows(
        connection, _begun_with(contacts.c.name_terms, f" {' '.join(words)}", page_ids), MOST_PEOPLE
    )
    of_word = {word: _begun_with(contact_words.c.word, word, page_ids) for word in words}
    rarest = min(words, key=lambda word: _count(connection, of_word[word])) if len(words) > 1 else words[0]
    # Somebody is there once for each word that begins so.
    entries = _rows(connection, of_word[rarest], _MOST_ENTRIES)
    is_cut = len(entries) > _MOST_ENTRIES
    people = set(entries[:_MOST_ENTRIES])
    if len(words) > 1:
        people = {
            (row.page_id, row.sender_id)
            for row in _TERMS.rows(connection, sorted(people))
            if all(f" {word}" in (row.name_terms or "") for word in words)
        }
    found = [*begins[:MOST_PEOPLE], *sorted(people.difference(begins))]
    return People(found=frozenset(found[:MOST_PEOPLE]), is_cut=is_cut or len(found) > MOST_PEOPLE)


def _begun_with(column: Column[Any], text: str, page_ids: Sequence[str]) -> Select[str, str]:
    table = column.table
    return select(table.c.page_id, table.c.sender_id).where(
        table.c.page_id.in_(page_ids), column >= text, column < text + _LAST
    )


def _rows(connection: Connection, query: Select[str, str], most: int) -> list[Contact]:
    """So many of them, and one more where there are more."""
    return [(page_id, sender_id) for page_id, sender_id in connection.execute(query.limit(most + 1))]


def _count(connection: Connection, query: Select[str, str]) -> int:
    some = query.with_only_columns(literal(1).label("one")).limit(_MOST_ENTRIES + 1).subquery()
    return int(connection.execute(select(func.count()).select_from(some)).scalar_one())

"""Finds messages by their words, alike on SQLite and PostgreSQL."""

from inboxsync.store.search.query import Pattern, Query, parse_query
from inboxsync.store.search.words import folded_words, placed_words, terms_of

__all__ = ["Pattern", "Query", "folded_words", "parse_query", "placed_words", "terms_of"]

"""Finds messages by their words, with the same results on SQLite and PostgreSQL."""

from inboxsync.store.search.find import FoundMessage, FoundMessages, Order, SearchKey, Total, search_messages
from inboxsync.store.search.query import Pattern, Query, parse_query
from inboxsync.store.search.words import folded_words, placed_words, terms_of

__all__ = [
    "FoundMessage",
    "FoundMessages",
    "Order",
    "Pattern",
    "Query",
    "SearchKey",
    "Total",
    "folded_words",
    "parse_query",
    "placed_words",
    "search_messages",
    "terms_of",
]

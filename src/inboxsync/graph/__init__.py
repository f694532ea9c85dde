"""The source: Meta's Graph API, as docs/graph-facts.md describes it."""

from inboxsync.graph.access import Access, App
from inboxsync.graph.client import CallRate, GraphClient, PageIdentity
from inboxsync.graph.errors import RetryPolicy
from inboxsync.graph.rate_limiter import RateLimiter, Waiting
from inboxsync.graph.requests import CallCounts, Retrying

__all__ = [
    "Access",
    "App",
    "CallCounts",
    "CallRate",
    "GraphClient",
    "PageIdentity",
    "RateLimiter",
    "RetryPolicy",
    "Retrying",
    "Waiting",
]

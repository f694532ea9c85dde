"""The source: Meta's Graph API, read as docs/graph-facts.md knows it."""

from inboxsync.graph.access import Access
from inboxsync.graph.app import App
from inboxsync.graph.client import CallRate, GraphClient, PageIdentity
from inboxsync.graph.policy import RetryPolicy
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

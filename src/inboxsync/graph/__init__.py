"""The source: Meta's Graph API, read as docs/graph-facts.md knows it."""

from inboxsync.graph.access import Access
from inboxsync.graph.app import App
from inboxsync.graph.client import GraphClient, Pace, PageIdentity
from inboxsync.graph.policy import RetryPolicy
from inboxsync.graph.rate_limiter import Budget, Waiting
from inboxsync.graph.requests import CallCounts, Retrying

__all__ = [
    "Access",
    "App",
    "Budget",
    "CallCounts",
    "GraphClient",
    "Pace",
    "PageIdentity",
    "RetryPolicy",
    "Retrying",
    "Waiting",
]

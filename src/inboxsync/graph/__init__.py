"""The source: Meta's Graph API, read as docs/graph-facts.md knows it."""

from inboxsync.graph.access import Access
from inboxsync.graph.app import App
from inboxsync.graph.budget import Budget, Waiting
from inboxsync.graph.calls import CallCounts, Retrying
from inboxsync.graph.client import GraphClient, Pace, PageIdentity
from inboxsync.graph.policy import RetryPolicy

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

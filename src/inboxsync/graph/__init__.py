"""The source: Meta's Graph API, read as docs/graph-facts.md knows it."""

from inboxsync.graph.access import Access
from inboxsync.graph.budget import Budget
from inboxsync.graph.client import CallCounts, GraphClient, PageIdentity
from inboxsync.graph.retry import RetryPolicy

__all__ = ["Access", "Budget", "CallCounts", "GraphClient", "PageIdentity", "RetryPolicy"]

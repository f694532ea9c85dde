"""What each address shows or does. A view takes a `RequestContext` and answers it; it has no state."""

from inboxsync.web.views import (
    answers,
    contacts,
    conversations,
    exports,
    login,
    page_list,
    pages,
    runs,
    search,
    settings,
)

__all__ = [
    "answers",
    "contacts",
    "conversations",
    "exports",
    "login",
    "page_list",
    "pages",
    "runs",
    "search",
    "settings",
]

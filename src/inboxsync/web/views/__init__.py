"""What each address shows or does. A view takes a `Visit` and answers it; it has no state of its own."""

from inboxsync.web.views import (
    actions,
    answers,
    contacts,
    conversations,
    exports,
    live,
    login,
    new_page,
    page,
    pages,
    runs,
    search,
    settings,
    thread,
)

__all__ = [
    "actions",
    "answers",
    "contacts",
    "conversations",
    "exports",
    "live",
    "login",
    "new_page",
    "page",
    "pages",
    "runs",
    "search",
    "settings",
    "thread",
]

import pytest

from inboxsync.model import Page
from inboxsync.reports import Export, ExportRequest, Format, What
from inboxsync.store import Store
from tests.reports.fixtures import NOON, Exported, Inbox
from tests.store.fixtures import Fields


@pytest.fixture
def inbox(store: Store) -> Inbox:
    return Inbox(store)


@pytest.fixture
def page(inbox: Inbox) -> Page:
    return inbox.page()


@pytest.fixture
def exported(store: Store) -> Exported:
    def export(what: What, chosen: Format, **changes: Fields) -> bytes:
        request = ExportRequest(what=what, format=chosen, **changes)
        return b"".join(Export(store, request, now=NOON).chunks())

    return export

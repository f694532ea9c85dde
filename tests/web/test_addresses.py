"""An address of the dashboard that would be misread is refused: no other list is shown instead."""

import re
from urllib.parse import quote

import pytest

from inboxsync.store.state.pages import list_pages
from inboxsync.web.views import contacts, conversations, search
from tests.web.fixtures import ServeWeb, Web


@pytest.fixture
def stored(web: ServeWeb) -> Web:
    """A dashboard over one synced Page."""
    site = web(conversations=12, messages=(1, 5))
    site.sync(site.add_page())
    site.engine.derive()
    return site


def ids_in(text: str) -> list[str]:
    return re.findall(r'class="name" href="/conversations/([^"?]+)"', text)


def test_an_unknown_page_or_folder_is_not_an_empty_list(stored: Web) -> None:
    admin = stored.admin()
    for path in ("conversations?", "contacts?", "search?q=hello&", "runs?", "exports/file?what=contacts&"):
        for page in ("nosuch", "%22", "01978b2e-4a10-7cc3-9f6d-3a2b1c0d9e8f"):
            answer = admin.get(f"/{path}page={page}")
            assert answer.status_code == 404, path
            assert "<h1>" in answer.text
    assert admin.get("/conversations?folder=nosuch").status_code == 422


def test_a_page_is_named_in_an_address_by_any_of_its_names(stored: Web) -> None:
    admin = stored.admin()
    with stored.engine.store.read() as connection:
        (page,) = list_pages(connection)
    shown = admin.get(f"/conversations?page={page.id}").text
    assert len(ids_in(shown)) == 12
    for named in (page.id.upper(), page.facebook_page_id, quote(page.name or "")):
        again = admin.get(f"/conversations?page={named}").text
        assert ids_in(again) == ids_in(shown), named
        assert f'<option value="{page.id}" selected' in again
        for path in ("contacts?", "search?q=e*&", "runs?"):
            assert admin.get(f"/{path}page={named}").status_code == 200
    for path in (f"/pages/{page.id.upper()}", f"/conversations/{ids_in(shown)[0].upper()}"):
        assert admin.get(path).status_code == 200


def test_a_link_to_older_ones_belongs_to_its_filter(stored: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    for view in (conversations, contacts, search):
        monkeypatch.setattr(view, "_LIMIT", 1)
    admin = stored.admin()
    for path, more in (
        ("/conversations?unread=", "unanswered=1"),
        ("/contacts?page=", "phone=1"),
        ("/search?q=e*", "since=2020-01-01"),
    ):
        (cursor,) = set(re.findall(r"after=([\w-]+)", admin.get(path).text))
        assert admin.get(f"{path}&after={cursor}").status_code == 200
        refused = admin.get(f"{path}&after={cursor}&{more}")
        assert refused.status_code == 422
        assert more.partition("=")[0] in refused.text

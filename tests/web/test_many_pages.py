"""The dashboard where there are more Pages than fit on one of its own."""

import re
from datetime import UTC, datetime

import pytest

from inboxsync.model import Platform
from inboxsync.store.state.pages import list_pages, upsert_page
from tests.web.fixtures import ServeWeb, Web

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def crowded(web: ServeWeb) -> Web:
    """A dashboard over 230 Pages."""
    site = web(conversations=1)
    with site.engine.store.write() as connection:
        for number in range(230):
            upsert_page(
                connection,
                facebook_page_id=f"7{number:03}",
                platform=Platform.MESSENGER,
                account_id="1",
                name=f"Shop {number:03}",
                access_token_encrypted="x",
                now=NOW,
            )
    return site


def more_of(text: str) -> str:
    found = re.search(r'href="([^"]+)" rel="next"', text)
    return found[1].replace("&amp;", "&") if found else ""


@pytest.mark.parametrize("path", ["/", "/settings"])
def test_every_page_is_shown_once_some_at_a_time(crowded: Web, path: str) -> None:
    admin, seen, at = crowded.admin(), [], path
    while at:
        text = admin.get(at).text
        seen.append(re.findall(r'class="name" href="/pages/[^"]+" dir="auto">([^<]+)<', text))
        assert ("Back to the first" in text) == (at != path)
        at = more_of(text)
    assert [name for some in seen for name in some] == [f"Shop {number:03}" for number in range(230)]
    assert max(map(len, seen)) == 50


@pytest.mark.parametrize("path", ["/", "/settings"])
def test_pages_are_found_by_name_or_id(crowded: Web, path: str) -> None:
    admin, text = crowded.admin(), ""
    for asked, count in (("shop+11", 10), ("7229", 1), ("shop", 50)):
        text = admin.get(f"{path}?named={asked}").text
        assert len(re.findall(r'class="name" href="/pages/', text)) == count
    assert "Shop 050" in admin.get(more_of(text)).text
    assert "Nothing matches" in admin.get(f"{path}?named=nobody").text
    assert admin.get(f"{path}?after=rubbish").status_code == 422


def test_saving_a_schedule_leads_back_to_the_same_place(crowded: Web) -> None:
    admin = crowded.admin()
    text = admin.get("/settings?named=shop+11").text
    page = re.search(r'name="page" value="([^"]+)"', text)
    assert page is not None
    saved = admin.post("/settings/schedule", page=page[1], named="shop 11", every="60", history="newest")
    assert saved.headers["location"] == "/settings?named=shop+11&done=saved"
    assert "Saved." in admin.get(saved.headers["location"]).text


def test_forms_offer_no_more_pages_than_a_person_reads(crowded: Web) -> None:
    admin = crowded.admin()
    with crowded.engine.store.read() as connection:
        chosen = list_pages(connection)[220]
    for path in ("/conversations", "/contacts", "/search", "/runs", "/exports"):
        text = admin.get(f"{path}?page={chosen.id}").text
        assert re.findall(r'<option value="([0-9a-f]{8}-[^"]+)" selected', text) == [chosen.id]
        assert "Choose another Page" in text
        assert "Shop 001" not in text


def test_a_few_pages_are_all_shown_with_their_totals(web: ServeWeb) -> None:
    site = web(conversations=2)
    site.sync(site.add_page())
    text = site.admin().get("/").text
    assert "1 Page, 2 conversations" in text
    assert 'name="named"' not in text

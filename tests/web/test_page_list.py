"""The list of two hundred Pages without a browser: filters, order, and one thing done for many."""

import html
import re
from urllib.parse import parse_qs, urlsplit

import pytest

from inboxsync.model import Page, Scope
from inboxsync.store.reading import PageOrder, PageState, count_states, list_page_entries
from inboxsync.store.state.runs import list_open_runs
from inboxsync.store.state.schedules import list_schedules
from tests.web.fixtures import ServeWeb, Visitor, Web
from tests.web.many_pages import MANY, fill_pages
from tests.web.test_many_pages import more_of

ROW = re.compile(r'class="name" href="/pages/([^"]+)" dir="auto">')


@pytest.fixture
def crowd(web: ServeWeb) -> tuple[Web, list[Page]]:
    """A dashboard over 200 Pages in all states."""
    site = web(conversations=1)
    return site, fill_pages(site.engine)


def shown(visitor: Visitor, path: str) -> list[str]:
    """The ids of all Pages of a list, from its first part to its last."""
    found: list[str] = []
    while path:
        answer = visitor.get(path)
        assert answer.status_code == 200, path
        found += ROW.findall(answer.text)
        path = more_of(answer.text)
    return found


def open_ids(site: Web, pages: list[Page]) -> set[str]:
    with site.engine.store.read() as connection:
        return set(list_open_runs(connection, [page.id for page in pages]))


def test_the_front_page_says_how_many_need_a_person_and_leads_to_them(crowd: tuple[Web, list[Page]]) -> None:
    site, _ = crowd
    admin = site.admin()
    with site.engine.store.read() as connection:
        counts = count_states(list_page_entries(connection, now=site.engine.clock.now()))
    person = counts[PageState.PERSON]
    text = admin.get("/").text
    assert f'<a href="/?state=person">{person} Pages need a person</a>' in text
    assert len(shown(admin, "/?state=person")) == person > 50
    for state in PageState:
        assert len(shown(admin, f"/?state={state}")) == counts[state] > 0, state
        assert f'<option value="{state}"' in text


@pytest.mark.parametrize("order", PageOrder)
def test_every_order_shows_every_page_once_and_the_heading_turns_it_round(
    crowd: tuple[Web, list[Page]], order: PageOrder
) -> None:
    site, pages = crowd
    admin = site.admin()
    there, back = shown(admin, f"/?sort={order}"), shown(admin, f"/?sort=-{order}")
    assert sorted(there) == sorted(back) == [page.id for page in pages]
    assert there != back
    heading = re.findall(
        r'aria-sort="(ascending|descending)"><a class="sort" href="([^"]+)"',
        admin.get(f"/?sort={order}&state=person").text,
    )
    ((_, href),) = heading
    assert parse_qs(urlsplit(html.unescape(href)).query) == {"state": ["person"], "sort": [f"-{order}"]}


def test_what_cannot_be_sorted_or_filtered_by_is_said(crowd: tuple[Web, list[Page]]) -> None:
    site, _ = crowd
    admin = site.admin()
    for asked in ("sort=x", "sort=--name", "state=broken", "after=x", "sort=name&state=%00"):
        assert admin.get(f"/?{asked}").status_code == 422, asked


def test_the_selected_pages_are_synced_and_the_place_is_kept(crowd: tuple[Web, list[Page]]) -> None:
    site, pages = crowd
    admin = site.admin()
    before = open_ids(site, pages)
    idle = [page.id for page in pages if page.id not in before][:3]
    sent = admin.client.post(
        "/pages/sync",
        data={
            "csrf": admin.csrf,
            "id": [*idle, *list(before)[:2], "gone"],
            "state": "fine",
            "sort": "-token",
        },
    )
    assert sent.status_code == 303
    assert parse_qs(urlsplit(sent.headers["location"]).query) == {
        "state": ["fine"],
        "sort": ["-token"],
        "n": ["3"],
        "busy": ["2"],
        "done": ["many-sync"],
    }
    told = admin.get(sent.headers["location"]).text
    assert "Started the sync of 3 Pages. 2 Pages had a run in progress already." in told
    assert "done=many" not in told, "no link repeats what was told"
    assert open_ids(site, pages) - before == set(idle)


@pytest.mark.parametrize(("action", "is_paused"), [("pause", True), ("resume", False)])
def test_all_that_match_are_paused_and_resumed_without_javascript(
    crowd: tuple[Web, list[Page]], action: str, is_paused: bool
) -> None:
    site, _ = crowd
    admin = site.admin()
    wanted = shown(admin, "/?state=person")
    admin.get("/?state=person")
    done = admin.post(f"/pages/{action}", all="1", state="person")
    assert f"n={len(wanted)}" in done.headers["location"]
    with site.engine.store.read() as connection:
        schedules = list_schedules(connection, wanted)
    assert {each.is_paused for each in schedules.values()} == {is_paused}


def test_without_a_selection_nothing_is_done(crowd: tuple[Web, list[Page]]) -> None:
    site, pages = crowd
    admin = site.admin()
    before = open_ids(site, pages)
    for action in ("sync", "verify", "pause", "resume"):
        answer = admin.post(f"/pages/{action}", named="shop")
        assert "No Page was selected." in admin.get(answer.headers["location"]).text
    assert open_ids(site, pages) == before


def test_what_a_key_may_not_do_is_not_offered_and_refused(crowd: tuple[Web, list[Page]]) -> None:
    site, pages = crowd
    site.key()
    for scope, offered in ((Scope.READ, []), (Scope.SYNC, ["/pages/verify"])):
        visitor = site.visitor()
        visitor.log_in(site.key(scope))
        text = visitor.get("/").text
        assert re.findall(r'formaction="([^"]+)"', text) == offered
        assert ('name="id"' in text) == bool(offered)
        assert visitor.post("/pages/pause", id=pages[0].id).status_code == 403


def test_fifty_pages_are_shown_at_a_time(crowd: tuple[Web, list[Page]]) -> None:
    site, _ = crowd
    text = site.admin().get("/").text
    assert len(ROW.findall(text)) == 50
    assert f"1 to 50 of {MANY} Pages" in text

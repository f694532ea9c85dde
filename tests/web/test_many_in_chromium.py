"""Two hundred Pages in all states in a real Chromium: nothing is cut, and everything can be reached."""

from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import pytest

from inboxsync.store.state.runs import list_open_runs
from tests.web.fixtures import OpenTab, ServeWeb, Tab, Web
from tests.web.many_pages import fill_pages, fill_people
from tests.web.test_in_chromium import CUT, folder_for_pictures

if TYPE_CHECKING:
    from playwright.sync_api import Page as Browsed

WIDTHS: Final = (360, 834, 1024, 1280, 1920)
SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
# Buttons, links and boxes that are seen and whose middle is not theirs to be clicked, or that are cut.
OUT_OF_REACH: Final = """() => [...document.querySelectorAll('main button, main a, main input')]
  .filter(e => e.checkVisibility() && !e.closest('thead') && e.type !== 'hidden')
  .filter(e => {
    e.scrollIntoView({block: 'center'});
    const own = e.getClientRects()[0], card = e.closest('.card')?.getBoundingClientRect();
    const at = document.elementFromPoint(own.x + own.width / 2, own.y + Math.min(own.height / 2, 12));
    return own.width < 1 || own.left < 0 || own.right > innerWidth || (card && own.right > card.right)
      || !(at && (e.contains(at) || at.contains(e)));
  }).map(e => e.outerHTML.slice(0, 200))"""
# Headings of columns, where they are seen, must be reached too.
HEADINGS: Final = """() => [...document.querySelectorAll('thead a.sort')]
  .filter(e => e.checkVisibility({visibilityProperty: true})).map(e => e.getBoundingClientRect())
  .filter(own => own.width > 2 && (own.left < 0 || own.right > innerWidth)).length"""
# Words of names that stand on two lines; a hyphen may be the end of one. Scripts without spaces have none.
BROKEN: Final = """() => [...document.querySelectorAll('.name')].flatMap(name => {
  const text = document.createTreeWalker(name, NodeFilter.SHOW_TEXT).nextNode(), found = [];
  for (const word of text.data.matchAll(/[^\\s\\-\\u0e00-\\u0eff\\u3000-\\u9fff]+/g)) {
    const range = document.createRange();
    range.setStart(text, word.index); range.setEnd(text, word.index + word[0].length);
    const lines = new Set([...range.getClientRects()].filter(each => each.width).map(each => each.top));
    if (lines.size > 1) found.push(word[0].slice(0, 60));
  }
  return found;
})"""

pytestmark = pytest.mark.system


@pytest.fixture
def crowd(web: ServeWeb) -> Web:
    """A dashboard over 200 Pages in all states."""
    site = web(conversations=1)
    fill_people(site.engine, fill_pages(site.engine)[:3])
    return site


def look(view: Tab, width: int, scheme: Literal["light", "dark"]) -> "Browsed":
    view.page.set_viewport_size({"width": width, "height": 860})
    view.page.emulate_media(color_scheme=scheme)
    return view.page


@pytest.mark.parametrize("path", ["/", "/settings", "/runs", "/contacts", "/conversations"])
def test_nothing_is_cut_at_any_width_and_no_name_is_broken(
    crowd: Web, tab: OpenTab, tmp_path: Path, path: str
) -> None:
    view = tab(crowd)
    view.log_in(crowd.key())
    view.go(path)
    pictures = folder_for_pictures(tmp_path)
    for width in (*WIDTHS, 390, 700, 900, 1180, 1240, 1400):
        page = look(view, width, "light")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, width
        assert page.evaluate(CUT) == [], width
        assert page.evaluate(OUT_OF_REACH) == [], width
        assert page.evaluate(HEADINGS) == 0, width
        assert page.evaluate(BROKEN) == [], width
    for width in WIDTHS:
        for scheme in SCHEMES:
            page = look(view, width, scheme)
            name = path.strip("/") or "many-pages"
            page.screenshot(path=pictures / f"{name}-{width}-{scheme}.png")
            # Everything once on the list of Pages: axe-core is what takes the time here.
            if path == "/" or (width, scheme) in ((360, "dark"), (1280, "light")):
                assert view.findings() == [], (width, scheme)
    assert view.complaints == []


def test_many_pages_are_selected_with_one_box_and_synced(crowd: Web, tab: OpenTab) -> None:
    view = tab(crowd)
    view.log_in(crowd.key())
    page = view.page
    page.get_by_role("link", name="need a person").click()
    page.get_by_label("Sort by").select_option("messages")
    page.get_by_role("button", name="Show").click()
    page.get_by_label("all shown").check()
    assert page.locator("[data-selected]").text_content() == "50 selected"
    page.locator("tbody input[name=id]").first.uncheck()
    assert page.locator("[data-selected]").text_content() == "49 selected"
    assert page.get_by_label("all shown").evaluate("box => box.indeterminate")
    page.get_by_role("button", name="Verify", exact=True).click()
    page.get_by_text("Started the verification of").wait_for()
    assert "state=person" in page.url
    with crowd.engine.store.read() as connection:
        ids = [str(each.get_attribute("value")) for each in page.locator("tbody input[name=id]").all()]
        assert len(list_open_runs(connection, ids)) >= 49
    assert view.complaints == []


def test_the_heading_of_a_column_sorts_by_it(crowd: Web, tab: OpenTab) -> None:
    view = tab(crowd)
    view.log_in(crowd.key())
    page = view.page
    first = page.locator("tbody td[data-label=Messages]").first
    page.get_by_role("link", name="Messages", exact=True).click()
    page.locator("th[aria-sort=descending]", has_text="Messages").wait_for()
    most = str(first.text_content())
    page.get_by_role("link", name="Messages", exact=True).click()
    page.locator("th[aria-sort=ascending]", has_text="Messages").wait_for()
    assert int(str(first.text_content()).replace(",", "")) < int(most.replace(",", ""))


def test_a_slash_goes_to_the_search_but_not_while_typing(crowd: Web, tab: OpenTab) -> None:
    view = tab(crowd)
    view.log_in(crowd.key())
    page = view.page
    for path in ("/", "/search"):
        view.go(path)
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.type") == "search", path
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.value") == "/", path
    view.go("/exports")
    page.keyboard.press("/")
    page.wait_for_url("**/search#q")
    assert page.evaluate("document.activeElement.id") == "q"

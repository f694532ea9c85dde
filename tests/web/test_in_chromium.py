"""The dashboard in a real Chromium, in front of a real `inboxsync serve` and a sandbox.

What it looks like is left in the test's own folder, as PNGs; where INBOXSYNC_TEST_SCREENSHOTS names
another, there.
"""

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from tests.fixtures import PATIENCE_SECONDS
from tests.web.fixtures import OpenDesk, OpenTab, Tab

if TYPE_CHECKING:
    from playwright.sync_api import Dialog, Locator, Page

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"
RING = "(e => [getComputedStyle(e).outlineStyle, getComputedStyle(e).outlineWidth])(document.activeElement)"
# What is wider than its card.
CUT = "[...document.querySelectorAll('.card')].filter(e => e.scrollWidth > e.clientWidth + 1).map(String)"
LOOKS: list[tuple[int, Literal["light", "dark"]]] = [
    (1280, "light"),
    (390, "dark"),
    (390, "light"),
    (1280, "dark"),
]

PATIENCE = 1000 * PATIENCE_SECONDS

pytestmark = pytest.mark.system


def folder_for_pictures(tmp_path: Path) -> Path:
    folder = Path(os.environ.get("INBOXSYNC_TEST_SCREENSHOTS") or tmp_path / "screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_a_page_is_added_watched_read_searched_and_exported(
    desk: OpenDesk, tab: OpenTab, tmp_path: Path
) -> None:
    # At 4 calls a second: long enough to be watched, short enough to be waited for.
    site = desk("--conversations", "900", "--messages", "1:30", calls_per_second=4)
    key = site.key()
    view = tab(site)
    page = view.page
    view.log_in(key)

    page.get_by_role("link", name="Add a Page").click()
    page.get_by_label("Page id").fill(site.page_id)
    page.get_by_label("Page access token").fill(site.token)
    page.get_by_role("button", name="Check and add").click()
    page.get_by_text("Its token works and is stored encrypted").wait_for()
    assert site.token not in page.content()

    live = page.locator("[data-run-events]")
    if not live.count():  # the schedule may have begun the run already
        page.get_by_role("button", name="Sync now").click()
        live.wait_for()
    from playwright.sync_api import expect  # noqa: PLC0415 - only where there is a browser

    fetched = live.locator("[data-live=fetched]")
    expect(fetched).not_to_have_text("0", timeout=PATIENCE)
    # The server's own page, which is not loaded again meanwhile: the events move the figures.
    expect(fetched).not_to_have_text(fetched.text_content() or "", timeout=PATIENCE)
    live.wait_for(state="detached", timeout=PATIENCE)
    page.get_by_text("complete", exact=True).first.wait_for()
    assert page.locator(".figure", has_text="Conversations").first.locator("strong").text_content() == "900"

    pictures = folder_for_pictures(tmp_path)
    page.screenshot(path=pictures / "a-page-after-its-first-sync.png")

    page.get_by_role("link", name="Conversations", exact=True).first.click()
    page.locator(".item a.name").first.click()
    page.locator(".message").first.wait_for()
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 860})
    page.screenshot(path=pictures / "a-thread-on-a-phone.png")
    assert_conversations_fit(view)
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1280, "height": 860})

    page.get_by_role("link", name="Search").click()
    page.get_by_label("Words").fill("order number")
    page.get_by_label("Words").press("Enter")
    page.locator("mark").first.wait_for()
    page.locator(".item a.name").first.click()
    page.locator(".message.found").wait_for()

    page.get_by_role("link", name="Exports").click()
    with page.expect_download() as coming:
        page.get_by_role("button", name="Download").click()
    saved = tmp_path / "contacts.csv"
    coming.value.save_as(saved)
    assert len(saved.read_text(encoding="utf-8-sig").splitlines()) > 800

    page.get_by_role("button", name="Log out").click()
    page.get_by_role("heading", name="Log in").wait_for()
    view.go("/")
    assert page.url.endswith("/login")
    assert view.complaints == []


def assert_conversations_fit(view: Tab) -> None:
    """No message is wider than its card; some of the newest have an attachment with a long label."""
    for number in range(10):
        view.go("/conversations?phone=1")
        view.page.locator(".item a.name").nth(number).click()
        view.page.locator(".message").first.wait_for()
        assert view.page.evaluate(CUT) == [], view.page.url


def test_every_view_is_accessible_fits_and_runs_nothing_foreign(
    desk: OpenDesk, tab: OpenTab, tmp_path: Path
) -> None:
    site = desk("--dataset", str(hostile_dataset(tmp_path)))
    site.add_page()
    site.sync()
    with closing(sqlite3.connect(tmp_path / "data" / "inboxsync.db", timeout=30)) as connection, connection:
        connection.execute("UPDATE facebook_pages SET name = ?", (f"{HOSTILE}{'W' * 900}",))
    key = site.key()
    archive = tmp_path / "archive"
    assert site.run("export", "html", site.page_id, "-o", str(archive)).returncode == 0
    pictures = folder_for_pictures(tmp_path)
    dialogs: list[str] = []

    def dismiss(dialog: "Dialog") -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    view = tab(site)
    view.page.on("dialog", dismiss)
    view.go("/login")
    assert_it_fits_and_is_accessible(view, "login", pictures)
    view.log_in(key)
    for name, path in views_of(view).items():
        view.go(path)
        assert_it_fits_and_is_accessible(view, name, pictures)
    for file in sorted(archive.glob("*.html")):
        view.page.goto(file.as_uri())
        for width, _ in LOOKS:
            view.page.set_viewport_size({"width": width, "height": 860})
            assert view.page.evaluate("document.documentElement.scrollWidth") <= width, file.name
    assert view.complaints == [], "the policy was violated, or a script failed"
    assert dialogs == []
    assert len(list(pictures.glob("*.png"))) >= 4 * len(LOOKS)


def assert_it_fits_and_is_accessible(view: Tab, name: str, pictures: Path) -> None:
    page = view.page
    for width, scheme in LOOKS:
        page.set_viewport_size({"width": width, "height": 860})
        page.emulate_media(color_scheme=scheme)
        # Every colour scheme and every width once: axe-core is what takes the time here.
        assert (width, scheme) not in LOOKS[:2] or view.findings() == [], f"{name} {width} {scheme}"
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{name} is {wide} px wide at {width}"
        assert page.evaluate(CUT) == [], f"{name} is cut at {width}"
        page.screenshot(path=pictures / f"{name}-{width}-{scheme}.png", full_page=True)


def test_everything_can_be_reached_by_keyboard(desk: OpenDesk, tab: OpenTab) -> None:
    site = desk("--conversations", "30")
    site.add_page()
    site.sync()
    view = tab(site)
    page, press = view.page, view.page.keyboard.press
    view.go("/login")
    if focused(page)[0] != "BUTTON":
        press("Tab")
    press("Enter")
    page.get_by_role("heading", name="Pages", level=1).wait_for()

    press("Tab")
    assert "Skip to content" in focused(page)[1]
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    press("Enter")
    press("Tab")
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")

    seen = set()
    view.go("/conversations")
    for _ in range(60):
        press("Tab")
        seen.add(focused(page)[1])
        if page.evaluate("document.activeElement.matches('.item a.name')"):
            break
        ring = page.evaluate(RING)
        assert ring == ["solid", "2px"], focused(page)
    assert {"Pages", "Search", "Settings", "Log out", "Show"} <= seen
    press("Enter")
    page.locator(".message").first.wait_for()


def test_it_can_be_read_without_javascript(desk: OpenDesk, tab: OpenTab) -> None:
    site = desk("--conversations", "120")
    site.add_page()
    site.tell_sandbox("faults", hold_after=0)
    view = tab(site, java_script_enabled=False)
    page = view.page
    view.go("/login")
    page.get_by_role("button", name="Open the dashboard").click()
    page.locator("tbody a.name").first.click()
    if not page.locator("[data-run-events]").count():
        page.get_by_role("button", name="Sync now").click()
    page.get_by_role("link", name="Reload now").wait_for()  # and it reloads itself every five seconds
    site.tell_sandbox("faults", hold_after=None)
    page.wait_for_selector("[data-run-events]", state="detached", timeout=PATIENCE)
    for name, path in views_of(view).items():
        answer = view.go(path)
        assert answer is not None
        assert answer.status == 200, name
        assert page.get_by_role("heading", level=1).count() == 1, name


def target(links: "Locator") -> str:
    """Where the first of these links leads."""
    href = links.first.get_attribute("href")
    assert href is not None
    return href


def views_of(view: Tab) -> dict[str, str]:
    """Every view of a dashboard that has something to show."""
    page = view.page
    view.go("/")
    one_page = target(page.locator("tbody a.name"))
    view.go("/conversations")
    thread = target(page.locator(".item a.name"))
    view.go("/runs")
    run = target(page.locator("tbody a.name"))
    return {
        "pages": "/",
        "new-page": "/pages/new",
        "page": one_page,
        "answers": f"{one_page}/answers",
        "conversations": "/conversations",
        "thread": thread,
        "contacts": "/contacts",
        "search": "/search?q=needle",
        "runs": "/runs",
        "run": run,
        "exports": "/exports",
        "settings": "/settings",
        "nothing-found": "/conversations?since=2090-01-01",
    }


def hostile_dataset(tmp_path: Path) -> Path:
    """Names and texts that try to be more than text."""
    people = [
        {
            "id": f"c{number}",
            "customer": {"name": name},
            "messages": [
                {
                    "from": "customer",
                    "text": f"needle {HOSTILE}",
                    "at": f"2026-01-0{number + 1}T03:04:05+00:00",
                },
                {
                    "from": "page",
                    "text": "javascript:alert(3)\n" + "W" * 400,
                    "at": f"2026-01-0{number + 1}T03:05:05+00:00",
                },
                {
                    "from": "customer",
                    "text": "call me: +47 912 34 567",
                    "at": f"2026-01-0{number + 1}T04:05:05+00:00",
                },
            ],
        }
        for number, name in enumerate(
            [HOSTILE, "W" * 120, "\u202eevil", "ليلى حسن", "'\"><b onmouseover=alert(4)>"]
        )
    ]
    dataset = tmp_path / "hostile.ndjson"
    dataset.write_text("\n".join(map(json.dumps, people)), encoding="utf-8")
    return dataset


def focused(page: "Page") -> list[str]:
    """The element that has the focus: its kind, and its text."""
    found: list[str] = page.evaluate(
        "[document.activeElement.tagName, document.activeElement.textContent.trim()]"
    )
    return found

"""The dashboard tells every time and every day in one zone, which it names."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select, update

from inboxsync.store.tables import messages
from tests.web.fixtures import OpenDesk, OpenTab, ServeWeb

CASE = Path(__file__).parents[3] / "shared" / "cases" / "use" / "around-midnight.ndjson"
ZONES = ["UTC", "Asia/Ho_Chi_Minh", "Asia/Kathmandu", "Pacific/Chatham", "America/St_Johns", "Pacific/Apia"]
SHOWN = re.compile(r'<h2 class="day">([^<]+)</h2>|<time datetime="([^"]+)" title="([^"]+)">([^<]+)</time>')


@pytest.fixture
def case() -> Path:
    if not CASE.exists():
        pytest.skip(f"{CASE.name} is not beside this checkout")
    return CASE


@pytest.mark.parametrize("name", ZONES)
def test_every_view_tells_its_times_in_the_settings_zone_and_names_it(web: ServeWeb, name: str) -> None:
    site = web(conversations=3)
    page, zone = site.add_page(), ZoneInfo(name)
    site.sync(page)
    at = datetime(2026, 11, 1, 4, 45, tzinfo=UTC)
    with site.engine.store.write() as connection:
        connection.execute(update(messages).values(sent_at=at))
    admin = site.admin()
    object.__setattr__(site.engine.settings, "time_zone", name)
    (thread,) = set(re.findall(r'href="(/conversations/[^"?]+)"', admin.get("/conversations").text)[:1])
    for path in ("/", f"/pages/{page.id}", "/conversations", "/contacts", "/runs", "/settings", thread):
        shown = admin.get(path).text
        assert f'Times are in <span class="zone">{name}</span>' in shown
        for _, stamp, title, said in SHOWN.findall(shown):
            if stamp:
                local = datetime.fromisoformat(stamp).astimezone(zone)
                assert title.startswith(f"{local:%-d %b %Y, %H:%M}"), path
                assert title.endswith(f"({name})"), path
                assert not re.match(r"\d+:", said) or said.startswith(f"{local:%H:%M}"), path
    days = re.findall(r'<h2 class="day">([^<]+)</h2>', admin.get(thread).text)
    assert days == [f"{at.astimezone(zone):%A, %-d %B %Y}"]
    charts = admin.get(f"/pages/{page.id}").text
    assert charts.count(f", {name}</span>") + charts.count(f">{name}</span></div>") >= 2
    assert name in admin.get(f"/pages/{page.id}/answers").text


def test_a_chart_puts_a_message_on_the_day_of_its_clock(web: ServeWeb) -> None:
    site = web(conversations=1)
    page = site.add_page()
    site.sync(page)
    zone = ZoneInfo("Asia/Kathmandu")
    with site.engine.store.write() as connection:
        newest = connection.execute(select(func.max(messages.c.sent_at))).scalar_one()
        # Half past eleven in the evening before: in UTC it is a quarter to six in the afternoon.
        today = newest.astimezone(zone).replace(hour=0, minute=45, second=0, microsecond=0)
        connection.execute(update(messages).values(sent_at=today - timedelta(hours=1, minutes=15)))
    site.engine.derive()
    object.__setattr__(site.engine.settings, "time_zone", "Asia/Kathmandu")
    shown = site.admin().get(f"/pages/{page.id}").text
    yesterday = today - timedelta(days=1)
    number = r'<td class="number">([\d,]+)</td>'
    rows = re.findall(rf'<th scope="row">(\d[^<]+)</th>{number}{number}</tr>', shown)
    assert {day for day, *counts in rows if counts != ["0", "0"]} == {f"{yesterday:%-d %b %Y}"}


@pytest.mark.system
def test_browsers_in_any_zone_and_without_javascript_show_the_same_times(
    desk: OpenDesk, tab: OpenTab, case: Path
) -> None:
    site = desk("--dataset", str(case), INBOXSYNC_TIME_ZONE="Europe/Berlin")
    site.add_page()
    site.sync()
    key, seen = site.key(), []
    for has_scripts in (True, False):
        for zone, width in (("UTC", 1280), ("America/New_York", 390), ("Asia/Ho_Chi_Minh", 1280)):
            view = tab(site, width=width, timezone_id=zone, java_script_enabled=has_scripts)
            view.log_in(key)
            view.go("/conversations")
            view.page.locator(".item a.name").first.click()
            view.page.locator(".message").first.wait_for()
            seen.append(view.page.locator("h2.day, .message time").all_text_contents())
            if width < 1000:
                view.page.get_by_text("Menu", exact=True).click()
            assert view.page.get_by_text("Times are in Europe/Berlin").locator("visible=true").count() == 1
            assert view.complaints == []
    assert seen[0] == [
        "Saturday, 27 June 2026",
        *("17:37", "18:27", "19:17", "20:07", "20:57", "21:47", "22:37", "23:27"),
        "Sunday, 28 June 2026",
        *("00:17", "01:07"),
    ]
    assert all(each == seen[0] for each in seen)


@pytest.mark.system
@pytest.mark.parametrize(
    ("tz", "name", "first"),
    [("<+07>-7", "UTC+07:00", "22:37"), (":Asia/Kathmandu", "Asia/Kathmandu", "21:22")],
)
def test_without_a_setting_the_dashboard_shows_the_machines_zone(
    desk: OpenDesk, case: Path, tz: str, name: str, first: str
) -> None:
    site = desk("--dataset", str(case), TZ=tz)
    site.add_page()
    site.sync()
    visitor = site.visitor()
    visitor.log_in(site.key())
    thread = re.findall(r'href="(/conversations/[^"?]+)"', visitor.get("/conversations").text)[0]
    shown = visitor.get(thread).text
    assert f'<span class="zone">{name}</span>' in shown
    entries = [day or said for day, _, _, said in SHOWN.findall(shown)]
    assert entries[:2] == ["Saturday, 27 June 2026", first]
    after = entries[entries.index("Sunday, 28 June 2026") + 1]
    assert after.startswith("00:")
    file = visitor.get("/exports/file?what=messages&since=2026-06-28").text
    assert "2026-06-28 00:" in file
    assert "2026-06-27 23:" not in file

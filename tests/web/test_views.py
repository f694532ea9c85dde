"""What each view shows and does, without a browser."""

import csv
import html
import io
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from msgspec import structs
from sqlalchemy import update

from inboxsync.api.schemas import encode_cursor
from inboxsync.model import Mode, Page, Problem, Run, RunRequest, RunStatus, Scope, TokenReason, TokenState
from inboxsync.store.connection.types import new_id
from inboxsync.store.reading import ContactFilter, list_contacts
from inboxsync.store.state.pages import list_pages, set_token_state
from inboxsync.store.state.runs import append_run_events, list_runs, start_run
from inboxsync.store.tables import messages
from tests.reports.fixtures import Inbox
from tests.web.fixtures import ServeWeb, Web

HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(2)">'


@pytest.fixture
def stored(web: ServeWeb) -> Web:
    """A dashboard over one synced Page of 70 conversations."""
    site = web(conversations=70, messages=(1, 70), folders={"spam": 5})
    site.sync(site.add_page())
    return site


def pages_of(site: Web) -> list[Page]:
    with site.engine.store.read() as connection:
        return list_pages(connection)


def ids_in(text: str) -> list[str]:
    return re.findall(r'class="name" href="/conversations/([^"?]+)"', text)


def test_the_pages_are_listed_with_their_figures(stored: Web) -> None:
    text = stored.admin().get("/").text
    assert stored.served.page.name.replace("&", "&amp;") in text
    assert ">75<" in text
    assert ">works<" in text


def test_an_empty_dashboard_says_what_to_do(web: ServeWeb) -> None:
    admin = web().admin()
    for path, words in (
        ("/", "No Page yet"),
        ("/conversations", "No conversation yet"),
        ("/contacts", "No contact yet"),
        ("/runs", "No runs yet"),
        ("/search", "What are you looking for?"),
        ("/settings", "No Page yet"),
    ):
        answer = admin.get(path)
        assert answer.status_code == 200
        assert words in answer.text, path


def test_an_empty_dashboard_is_three_steps_with_the_form_in_the_second(web: ServeWeb) -> None:
    site = web()
    admin = site.admin()
    text = admin.get("/").text
    steps = re.findall(r"<li><h3>([^<]+)</h3>(.*?)</li>", text, re.DOTALL)
    assert [title for title, _ in steps] == [
        "Get a Page access token",
        "Add the Page",
        "Wait for the first sync",
    ]
    assert ['href="/pages/new"' in step for _, step in steps] == [False, True, False]
    site.add_page()
    assert "Three steps" not in admin.get("/").text


def test_an_empty_dashboard_tells_a_reader_who_can_add_a_page(web: ServeWeb) -> None:
    site = web()
    site.key()
    reader = site.visitor()
    reader.log_in(site.key(Scope.READ, "for reading"))
    text = reader.get("/").text
    assert "Ask a person with an admin key" in text
    assert "/pages/new" not in text


def test_a_page_is_added_with_its_token_which_is_never_shown(web: ServeWeb) -> None:
    site = web(conversations=3)
    admin, world = site.admin(), site.served.page
    admin.get("/pages/new")
    added = admin.post(
        "/pages/new", facebook_page_id=world.page_id, platform="messenger", token=world.token, name="My shop"
    )
    assert added.status_code == 303
    shown = admin.get(added.headers["location"]).text
    assert "My shop" in shown
    for path in (added.headers["location"], "/", "/settings", "/pages/new"):
        assert world.token not in admin.get(path).text


def test_an_invalid_token_is_reported_and_not_repeated(web: ServeWeb) -> None:
    site = web(conversations=3)
    admin, world = site.admin(), site.served.page
    admin.get("/pages/new")
    for token in ("EAAwrongwrong", "two words", ""):
        refused = admin.post("/pages/new", facebook_page_id=world.page_id, platform="messenger", token=token)
        assert refused.status_code == 422
        assert 'role="alert"' in refused.text
        assert not token or token not in refused.text
        assert world.page_id in refused.text
    with site.engine.store.read() as connection:
        assert list_pages(connection) == []


def test_the_list_continues_to_its_end_and_repeats_no_one(stored: Web) -> None:
    admin = stored.admin()
    seen: list[str] = []
    path = "/conversations"
    while path:
        text = admin.get(path).text
        seen += ids_in(text)
        older = re.search(r'href="([^"]+)" rel="next"', text)
        path = older[1].replace("&amp;", "&") if older else ""
    assert len(seen) == len(set(seen)) == 75


def test_filters_narrow_the_list_and_stay_chosen(stored: Web) -> None:
    admin = stored.admin()
    everyone = admin.get("/conversations").text
    for asked in ("folder=spam", "unread=1", "unanswered=1", "phone=1", "email=1"):
        some = admin.get(f"/conversations?{asked}").text
        assert 0 < len(ids_in(some)) < 50 <= len(ids_in(everyone)), asked
        name = asked.partition("=")[0]
        assert re.search(rf'name="{name}" value="1" checked|value="spam" selected', some)
        assert ids_in(admin.get(f"/conversations?{asked}&since=2090-01-01").text) == []


def test_a_thread_is_read_back_to_its_beginning(stored: Web) -> None:
    admin = stored.admin()
    ids = ids_in(admin.get("/conversations").text)
    text = admin.get(f"/conversations/{ids[0]}").text
    assert 'class="message' in text
    assert "The conversation begins here" in text or "Older messages exist at Meta but are not stored" in text


def test_search_finds_marks_and_leads_to_the_message(stored: Web) -> None:
    admin = stored.admin()
    text = admin.get("/search?q=still+available").text
    assert "<mark>still</mark>" in text
    link = re.search(r'class="name" href="([^"]+)#(m\w+)"', text)
    assert link is not None
    thread = admin.get(link[1].replace("&amp;", "&")).text
    assert re.search(rf'class="message[^"]* found" id="{link[2]}"', thread)
    assert "Nothing found" in admin.get("/search?q=xyzzyplugh").text
    told = re.search(r"(\d+) messages? found", admin.get(f"/search?q={quote('“still available”')}").text)
    assert told is not None
    assert 0 < int(told[1]) <= 1_000
    assert admin.get("/search?q=%22").status_code == 422
    for order in ("newest", "rank"):
        found = admin.get(f"/search?q=is&order={order}").text
        older = re.search(r'href="([^"]+)" rel="next"', found)
        if older:
            assert admin.get(older[1].replace("&amp;", "&")).status_code == 200


def test_names_and_texts_are_only_text_whatever_they_contain(web: ServeWeb, tmp_path: Path) -> None:
    people = [
        {
            "id": f"c{number}",
            "customer": {"name": f"{HOSTILE}{number}"},
            "messages": [
                {
                    "from": "customer",
                    "text": f"needle {HOSTILE} \u202e {{{{ 7*7 }}}}",
                    "at": "2026-01-02T03:04:05+00:00",
                },
                {"from": "page", "text": HOSTILE, "at": "2026-01-02T03:05:05+00:00"},
            ],
        }
        for number in range(3)
    ]
    dataset = tmp_path / "hostile.ndjson"
    dataset.write_text("\n".join(map(json.dumps, people)), encoding="utf-8")
    site = web(dataset=dataset)
    site.sync(site.add_page())
    admin = site.admin()
    thread = ids_in(admin.get("/conversations").text)[0]
    for path in ("/conversations", "/contacts", f"/conversations/{thread}", "/search?q=needle"):
        text = admin.get(path).text
        assert "&lt;script&gt;" in text, path
        assert "<script>alert" not in text, path
        assert "<img" not in text, path
        assert " 49 " not in text, path
    for path in ("/search?q=", "/conversations?page=", "/login?next=", "/runs?page=", "/exports?since="):
        assert "<img" not in admin.client.get(path + HOSTILE, follow_redirects=True).text


def test_what_does_not_exist_gets_an_error_page(web: ServeWeb) -> None:
    admin = web().admin()
    for path in (
        "/pages/unknown",
        "/conversations/unknown",
        "/runs/unknown",
        "/runs/unknown/events",
        "/nothing",
    ):
        answer = admin.get(path)
        assert answer.status_code == 404, path
        assert "<h1>" in answer.text
        assert not re.search(r"`|_unknown|inboxsync [a-z]", answer.text), path


def test_invalid_parameters_are_explained_or_ignored(stored: Web) -> None:
    admin = stored.admin()
    for path in ("/conversations?after=x", "/contacts?after=AAAA", "/search?q=a&after=zzzz"):
        answer = admin.get(path)
        assert answer.status_code == 422, path
        assert "cursor" in answer.text
    for path in ("/conversations", "/search?q=a", "/exports/file"):
        for since in ("x", "2026-02-30", "31.01.2026"):
            answer = admin.get(f"{path}{'&' if '?' in path else '?'}since={since}")
            assert answer.status_code == 422, path
            assert "This is not a day." in answer.text
    for path in ("/search?q=a%00b", "/runs?before=x", "/contacts?page=%00"):
        assert admin.get(path).status_code == 200, path


@pytest.mark.parametrize(
    "at", ["2026-01-01T00:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]
)
def test_a_forged_cursor_breaks_nothing(stored: Web, at: str) -> None:
    admin = stored.admin()
    thread = ids_in(admin.get("/conversations").text)[0]
    for path, kind in (
        ("/conversations?after=", "conversations-view"),
        ("/contacts?after=", "contacts-view"),
        (f"/conversations/{thread}?before=", "thread-view"),
        (f"/conversations/{thread}?at=", "thread-view"),
    ):
        answer = admin.get(f"{path}{encode_cursor(kind, at, 'x')}")
        assert answer.status_code == (200 if at[19:] else 422), path
    for number in (str(2**63), "9" * 19, "9" * 400):
        for order, parts in (("newest", [number]), ("rank", ["1", "1", number])):
            cursor = encode_cursor("search-view", *parts)
            assert admin.get(f"/search?q=a&order={order}&after={cursor}").status_code == 422


def test_a_day_begins_in_the_settings_time_zone(web: ServeWeb) -> None:
    site = web(conversations=1)
    site.sync(site.add_page())
    noon = datetime(2026, 6, 1, 22, tzinfo=UTC)
    with site.engine.store.write() as connection:
        connection.execute(update(messages).values(sent_at=noon))
    admin = site.admin()
    object.__setattr__(site.engine.settings, "time_zone", "Asia/Tokyo")
    rows = {
        day: int(admin.get(f"/exports/file?what=messages&since={day}").headers["x-inboxsync-rows"])
        for day in ("2026-06-01", "2026-06-02", "2026-06-03")
    }
    assert rows["2026-06-01"] == rows["2026-06-02"] > 0 == rows["2026-06-03"]


def test_a_button_enqueues_one_run_however_often_it_is_pressed(stored: Web) -> None:
    admin = stored.admin()
    with stored.engine.store.read() as connection:
        (page,) = list_pages(connection)
    first = admin.post(f"/pages/{page.id}/sync")
    assert first.headers["location"] == f"/pages/{page.id}?done=sync"
    assert admin.post(f"/pages/{page.id}/sync").headers["location"].endswith("done=busy")
    shown = admin.get(f"/pages/{page.id}").text
    assert 'http-equiv="refresh"' in shown  # for browsers without JavaScript
    with stored.engine.store.read() as connection:
        (queued,) = (run for run in list_runs(connection, limit=10) if run.status is RunStatus.QUEUED)
    assert admin.post(f"/runs/{queued.id}/cancel").status_code == 303
    with stored.engine.store.read() as connection:
        assert list_runs(connection, limit=1)[0].status is RunStatus.CANCELLED
    assert 'http-equiv="refresh"' not in admin.get(f"/pages/{page.id}").text


def test_the_live_view_gets_the_events_of_the_run_and_continues_after_the_last_one(stored: Web) -> None:
    with stored.engine.store.read() as connection:
        (page,) = list_pages(connection)
    queue = stored.app.state.service.queue
    run = queue.enqueue(page, RunRequest())
    now = datetime.now(UTC)
    events: list[tuple[datetime, str, dict[str, object]]] = [
        (
            now,
            "processing",
            {
                "fetched": 100 * n,
                "eventsCreated": 900 * n,
                "calls": n,
                "seconds": n * 1.0,
                "stage": "full_scan",
                "folder": "inbox",
            },
        )
        for n in (1, 2, 3)
    ]
    with stored.engine.store.write() as connection:
        append_run_events(connection, run.id, events)
    queue.cancel(run.id)
    admin = stored.admin()
    messages = [
        json.loads(line[6:])
        for line in admin.get(f"/runs/{run.id}/events").text.splitlines()
        if line.startswith("data: ")
    ]
    assert [each["fetched"] for each in messages[:3]] == [100, 200, 300]
    assert messages[2]["rate"] == 100.0
    assert messages[2]["line"] == "Full scan of the inbox, newest first"
    assert messages[-1]["status"] == "complete_with_errors"
    again = admin.client.get(f"/runs/{run.id}/events", headers={"Last-Event-ID": "2"}).text
    assert "id: 3\n" in again
    assert "id: 2\n" not in again
    assert admin.get(f"/runs/{run.id}").status_code == 200


def test_a_run_shows_how_it_ended(stored: Web) -> None:
    admin = stored.admin()
    text = admin.get("/runs").text
    run = re.search(r'class="name" href="/runs/([^"]+)"', text)
    assert run is not None
    shown = admin.get(f"/runs/{run[1]}").text
    assert "complete" in shown
    assert ">75<" in shown


def test_a_run_that_needs_a_person_leads_to_the_form_and_metas_words_are_behind_details(stored: Web) -> None:
    (page,) = pages_of(stored)
    hint = f"The token expired: log in, then add it: `inboxsync pages add {page.facebook_page_id}`."
    words = "Error validating access token (Graph error 190/463, trace AbC)"
    run = Run(
        id=new_id(),
        page_id=page.id,
        facebook_page_id=page.facebook_page_id,
        platform="messenger",
        mode=Mode.FULL,
        status=RunStatus.FAILED,
        started_at=datetime.now(UTC),
        problems=(Problem(code="token_invalid", message=words, hint=hint),),
        next="inboxsync sync 104",
    )
    with stored.engine.store.write() as connection:
        start_run(connection, run)
        set_token_state(
            connection,
            page,
            TokenState.INVALID,
            reason=TokenReason.EXPIRED,
            problem=f"{words} {hint}",
            now=run.started_at,
        )
    admin = stored.admin()
    for path in (f"/runs/{run.id}", f"/pages/{page.id}"):
        text = admin.get(path).text
        shown, details = re.sub(r"<details class=\"more\">.*?</details>", "", text, flags=re.DOTALL), text
        assert words in details
        assert "Graph error" not in shown
        assert "inboxsync pages add" not in details
        assert "inboxsync sync" not in details
        assert f'href="/pages/new?id={page.facebook_page_id}&amp;platform=messenger"' in shown
    assert f'action="/pages/{page.id}/sync"' in admin.get(f"/runs/{run.id}").text
    form = admin.get(f"/pages/new?id={page.facebook_page_id}&platform=messenger").text
    assert f'value="{page.facebook_page_id}"' in form


def test_a_page_shows_how_fast_it_answers(stored: Web) -> None:
    admin = stored.admin()
    with stored.engine.store.read() as connection:
        (page,) = list_pages(connection)
    answer = admin.get(f"/pages/{page.id}/answers")
    assert answer.status_code == 200
    assert "Half answered within" in answer.text
    assert f'href="/pages/{page.id}/answers"' in admin.get(f"/pages/{page.id}").text


def test_automatic_greetings_are_shown_and_can_be_counted(stored: Web) -> None:
    admin, inbox = stored.admin(), Inbox(stored.engine.store)
    page = inbox.page("9105", "Greeter")
    now = datetime.now(UTC) - timedelta(hours=1)
    for number in range(5):
        asked = inbox.said(0, sent_at=now, message_id=f"g_in_{number}")
        sent = inbox.answered(0, "<Welcome>!", sent_at=now, message_id=f"g_out_{number}")
        inbox.put(page, inbox.conversation(f"g{number}", asked, sent))
    told = admin.get(f"/pages/{page.id}/answers").text
    assert "Automatic greetings" in told
    assert "&lt;Welcome&gt;!" in told
    assert "They do not count as answers" in told
    counted = admin.get(f"/pages/{page.id}/answers?automatic=count").text
    assert "Here they count as answers" in counted


def test_a_download_holds_every_row(stored: Web) -> None:
    admin = stored.admin()
    for what in ("contacts", "conversations", "messages"):
        answer = admin.get(f"/exports/file?what={what}&format=csv")
        assert answer.headers["content-disposition"].startswith(f'attachment; filename="{what}-')
        rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
        assert len(rows) - 1 == int(answer.headers["x-inboxsync-rows"]) > 0, what


def test_a_download_has_the_delimiter_that_was_chosen_and_the_form_offers_excels(stored: Web) -> None:
    admin = stored.admin()
    for parameter, delimiter in (("delimiter=tab", "\t"), ("delimiter=semicolon", ";"), ("excel=de", ";")):
        asked = f"/exports/file?what=contacts&format=csv&{parameter}"
        text = admin.get(asked).content.decode("utf-8-sig")
        assert text.startswith(f"Contact{delimiter}Phone numbers{delimiter}")
        raw = admin.get(f"{asked}&raw=1").content.decode("utf-8-sig")
        assert raw.startswith(f"page_id{delimiter}page_name{delimiter}")
    for wrong in ("delimiter=x", "excel=%3F"):
        refused = admin.get(f"/exports/file?what=contacts&format=csv&{wrong}")
        assert refused.status_code == 422
    for language, chosen in (("vi-VN,vi;q=0.9,en;q=0.8", "semicolon"), ("en-US", "comma"), ("*", "comma")):
        form = admin.client.get("/exports", headers={"Accept-Language": language}).text
        assert f'<option value="{chosen}" selected>' in form


def test_a_key_is_created_shown_once_and_revoked(web: ServeWeb) -> None:
    site = web()
    admin = site.admin()
    made = admin.post("/settings/keys", name="reader", scope="read")
    key = re.search(r"ibs_[\w.-]+", made.text)
    assert key is not None
    settings = admin.get("/settings").text
    assert "reader" in settings
    assert key[0] not in settings
    site.forget_keys()
    visitor = site.visitor()
    assert visitor.log_in(key[0]).status_code == 303
    admin.post("/settings/keys/revoke", name="reader")
    site.forget_keys()
    assert visitor.get("/").status_code == 303
    assert admin.post("/settings/keys", name="reader", scope="read").status_code == 422
    assert admin.post("/settings/keys", name="  ", scope="read").status_code == 422


def test_the_first_key_may_do_everything_and_the_last_such_key_is_not_lost_by_accident(web: ServeWeb) -> None:
    site = web()
    opener = site.visitor()
    opener.log_in()  # no key yet: this machine is let in
    form = opener.get("/settings").text
    assert re.findall(r'<option value="(read|sync|admin)"', form) == ["admin"]
    refused = opener.post("/settings/keys", name="look", scope="read")
    assert (refused.status_code, "must be allowed to do everything" in refused.text) == (422, True)
    made = opener.post("/settings/keys", name="owner", scope="admin")
    key = re.search(r"ibs_[\w.-]+", made.text)
    assert key is not None
    site.forget_keys()
    owner = site.visitor()
    owner.log_in(key[0])
    assert re.findall(r'<option value="(read|sync|admin)"', owner.get("/settings").text) == [
        "read",
        "sync",
        "admin",
    ]
    kept = owner.post("/settings/keys/revoke", name="owner")
    assert (kept.status_code, "inboxsync keys create" in kept.text) == (422, True)
    assert owner.post("/settings/keys/revoke", name="owner", confirmed="1").status_code == 303


def test_no_page_is_kept_in_a_browsers_cache(stored: Web) -> None:
    answer = stored.admin().get("/conversations")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "same-origin"


def test_people_are_found_by_name_counted_and_sorted(stored: Web) -> None:
    admin = stored.admin()
    with stored.engine.store.read() as connection:
        everyone = list_contacts(connection, ContactFilter(), limit=500).records
    name = next(each.name for each in everyone if each.name)
    first = name.split()[0]
    same = [each for each in everyone if each.name and f" {first.lower()}" in f" {each.name.lower()}"]
    for path, noun in (("/contacts", "contact"), ("/conversations", "conversation")):
        text = admin.get(path).text
        assert re.search(rf"<p>75 {noun}s, newest", text), path
        found = admin.get(f"{path}?named={first[:-1].upper()}").text
        assert name in html.unescape(found)
        assert f'value="{first[:-1].upper()}"' in found
        assert re.search(rf"<p>(?!75)\d+ {noun}s?, newest", found), path
        assert "Nothing matches" in admin.get(f"{path}?named=nobodyatall").text
        assert admin.get(f"{path}?sort=x").status_code == 422
    for sort in ("newest", "oldest", "name", "messages"):
        seen, path = [], f"/contacts?sort={sort}"
        while path:
            text = admin.get(path).text
            seen += re.findall(r'class="name" href="([^"]+)"', text)
            older = re.search(r'href="([^"]+)" rel="next"', text)
            path = html.unescape(older[1]) if older else ""
        assert len(seen) == len(set(seen)) == 75, sort
    assert len(same) <= 75
    by_name = admin.get("/contacts?sort=name")
    assert 'aria-sort="ascending"><a class="sort" href="/contacts?sort=name">Contact' in by_name.text
    assert (
        admin.get(f"/contacts?sort=messages&after={encode_cursor('contacts-view', '1', 'x')}").status_code
        == 422
    )


def test_conversations_can_begin_with_the_oldest(stored: Web) -> None:
    admin = stored.admin()
    lists: dict[str, list[str]] = {}
    for sort in ("newest", "oldest"):
        path, lists[sort] = f"/conversations?sort={sort}", []
        while path:
            text = admin.get(path).text
            lists[sort] += ids_in(text)
            older = re.search(r'href="([^"]+)" rel="next"', text)
            path = html.unescape(older[1]) if older else ""
    assert lists["oldest"] == lists["newest"][::-1]


def test_a_thread_quotes_what_is_answered_and_opens_at_meta(stored: Web) -> None:
    (page,) = pages_of(stored)
    inbox = Inbox(stored.engine.store)
    now = datetime.now(UTC)
    said = [
        inbox.said(number - 9000, f"<b>question</b> {number}", sent_at=now - timedelta(minutes=200 - number))
        for number in range(80)
    ]
    answer = inbox.answered(0, "Yes!", sent_at=now, reply_to_message_id=said[3].message_id)
    link = f"/{page.facebook_page_id}/inbox/77/"
    inbox.put(page, structs.replace(inbox.conversation("quoting", *said, answer), link=link))
    stored.engine.derive()
    admin = stored.admin()
    row_id = ids_in(admin.get("/conversations").text)[0]
    text = admin.get(f"/conversations/{row_id}").text
    assert f'href="https://www.facebook.com/{page.facebook_page_id}/inbox/77/"' in text
    quoted = re.search(
        r'<blockquote class="quote">.*?<a href="([^"]+)" dir="auto">([^<]+)</a>', text, re.DOTALL
    )
    assert quoted is not None
    assert html.unescape(quoted[2]) == "<b>question</b> 3"
    there = html.unescape(quoted[1])
    assert "?at=" in there, "it is on another part of the conversation"
    shown = admin.get(there.partition("#")[0]).text
    assert f'found" id="{there.partition("#")[2]}"' in shown

"""The archive opens offline, runs nothing, and shows every text as it was written."""

import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inboxsync.errors import FileIncomplete, OutputFailed
from inboxsync.model import BacklogItem, BacklogKind, Page
from inboxsync.reports import archive as archives
from inboxsync.reports.archive import Archived, open_archive
from inboxsync.reports.attachments import links_of
from inboxsync.reports.export import OnProgress
from inboxsync.reports.folders import check_folder
from inboxsync.store import Store
from inboxsync.store.state.backlog import put_backlog_item
from tests.fixtures import examples
from tests.reports.fixtures import Inbox, Write

NOON = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
HANOI = ZoneInfo("Asia/Ho_Chi_Minh")
FILES_ALONE = pytest.mark.parametrize("database", ["sqlite"])


class Stopped(Exception):
    pass


class Read(HTMLParser):
    """A page as a browser sees it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def links(self) -> list[str]:
        return [attributes["href"] or "" for tag, attributes in self.tags if tag == "a"]

    def anchors(self) -> list[str]:
        return [attributes["id"] or "" for tag, attributes in self.tags if tag == "article"]


@pytest.fixture
def write(store: Store, page: Page) -> Write:
    def to(path: Path, on_progress: OnProgress = lambda _: None) -> Archived:
        with open_archive(store, page, zone=HANOI, now=NOON) as archive:
            write = archive.write_file if path.suffix == ".html" else archive.write_folder
            return write(path, on_progress)

    return to


def test_messages_backlog_in_the_middle_are_shown_where_they_are_missing(
    inbox: Inbox, page: Page, write: Write, store: Store, tmp_path: Path
) -> None:
    said = [inbox.said(minute, f"text {minute}") for minute in (1, 2, 3)]
    inbox.put(page, *(inbox.conversation(contact, *said) for contact in ("1", "2", "3", "4")))
    backlog = {
        "t_1": ("m_in_2", "m_in_1"),
        "t_2": (),
        # What it stood above was deleted by hand since.
        "t_3": ("m_in_9",),
    }
    with store.write() as connection:
        for conversation_id, anchors in backlog.items():
            put_backlog_item(
                connection,
                page,
                BacklogItem(
                    conversation_id=conversation_id, kind=BacklogKind.GAP, folder="inbox", anchors=anchors
                ),
                now=NOON,
            )
    write(tmp_path / "out.html")
    text = (tmp_path / "out.html").read_text()
    articles = re.findall(r"(t_[0-9])(.*?)</article>", text, re.DOTALL)
    shown = {name: re.findall("text [0-9]|missing here", inside) for name, inside in articles}
    assert shown == {
        "t_1": ["text 1", "text 2", "missing here", "text 3"],
        "t_2": ["missing here", "text 1", "text 2", "text 3"],
        "t_3": ["missing here", "text 1", "text 2", "text 3"],
        "t_4": ["text 1", "text 2", "text 3"],
    }


def test_every_link_of_a_folder_leads_to_its_conversation(
    inbox: Inbox, page: Page, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "_A_FILE", 10)
    monkeypatch.setattr(archives, "_A_LIST", 20)
    contacts = range(45)
    inbox.put(
        page,
        *(
            inbox.conversation(f"{each}", inbox.said(-each, f"text {each}"), name=f"Name {each}")
            for each in contacts
        ),
    )
    told = write(tmp_path / "out")
    assert (told.conversations, told.files) == (45, 5 + 3)
    assert check_folder(tmp_path / "out").conversations == 45
    named: list[str] = []
    for name in ("index.html", "index-2.html", "index-3.html"):
        text = (tmp_path / "out" / name).read_text()
        for link, shown in re.findall(r'<td><a href="([^"]+)"><bdi>([^<]+)', text):
            file, _, anchor = link.partition("#")
            target = (tmp_path / "out" / file).read_text()
            assert f'<article id="{anchor}">\n<h2><bdi>{shown}</bdi>' in target
            named.append(shown)
    assert named == [f"Name {each}" for each in contacts]
    for path in (tmp_path / "out").glob("*.html"):
        for link in Read(path.read_text()).links():
            assert (path.parent / link.partition("#")[0]).is_file(), link


def test_one_file_has_everything(inbox: Inbox, page: Page, write: Write, tmp_path: Path) -> None:
    inbox.put(page, *(inbox.conversation(f"{each}", inbox.said(0, f"text {each}")) for each in range(250)))
    told = write(tmp_path / "one.html")
    read = Read((tmp_path / "one.html").read_text())
    assert (told.files, told.bytes) == (1, (tmp_path / "one.html").stat().st_size)
    assert read.links() == [f"#{anchor}" for anchor in read.anchors()]
    assert len(read.anchors()) == 250


def test_messages_are_shown_in_time_with_gaps_as_gaps(
    inbox: Inbox, page: Page, write: Write, tmp_path: Path
) -> None:
    ask, answer = inbox.said, inbox.answered
    file = '[{"name": "bill.pdf", "file_url": "https://cdn.invalid/b?x=1&y=\\"2"}]'
    inbox.put(
        page,
        inbox.conversation(
            "7",
            ask(0, "first\nline"),
            answer(2, "then"),
            ask(4, "", attachments=file),
            ask(6, None, is_readable=False),
            has_older_messages=True,
        ),
        inbox.conversation("8", name=None),
    )
    write(tmp_path / "one.html")
    read = Read((tmp_path / "one.html").read_text())
    classes = [attributes.get("class") for tag, attributes in read.tags if tag == "li"]
    assert classes == ["gap", "in", "out", "in", "gap", "gap"]
    shown = "".join(read.texts)
    assert (
        shown.index("older messages that were not stored") < shown.index("first\nline") < shown.index("then")
    )
    assert "2026-06-01 19:00" in shown
    assert "Times are in Asia/Ho_Chi_Minh" in shown
    assert 'https://cdn.invalid/b?x=1&y="2' in read.links()
    assert "contact 8" in shown
    assert "lets no one read" in shown


@FILES_ALONE
@settings(max_examples=examples(20))
@given(text=st.text(max_size=30) | st.sampled_from(["</p><script>alert(1)</script>", "\0", "a\r\nb", "&lt;"]))
def test_whatever_people_write_is_text(
    inbox: Inbox, page: Page, write: Write, tmp_path: Path, text: str
) -> None:
    with inbox.store.write() as connection:
        connection.exec_driver_sql("DELETE FROM messenger_conversations")
    sticker = f"javascript:{text}"
    inbox.put(page, inbox.conversation("7", inbox.said(0, f"[{text}]", sticker=sticker), name=f"<{text}>"))
    write(tmp_path / "one.html")
    with (tmp_path / "one.html").open(newline="", encoding="utf-8") as file:
        read = Read(file.read())
    shown = "".join(read.texts)
    as_written = text.replace("\0", "\ufffd")
    assert f"[{as_written}]" in shown
    assert f"<{as_written}>" in shown
    assert {tag for tag, _ in read.tags} <= {
        *["html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "table", "caption"],
        *["thead", "tbody", "tr", "th", "td", "a", "bdi", "article", "ol", "li", "time"],
    }
    assert read.links() == ["#c1"]
    assert not [
        name for _, attributes in read.tags for name in attributes if name in {"src", "onclick", "style"}
    ]


def test_nothing_is_loaded_from_elsewhere(inbox: Inbox, page: Page, write: Write, tmp_path: Path) -> None:
    image = '[{"image_data": {"url": "https://cdn.invalid/a.jpg"}}]'
    inbox.put(page, inbox.conversation("7", inbox.said(0, "", attachments=image)))
    write(tmp_path / "out")
    for path in (tmp_path / "out").glob("*.html"):
        text = path.read_text()
        tags = {tag for tag, _ in Read(text).tags}
        assert not tags & {"script", "img", "link", "iframe", "object", "video", "audio", "form"}
        assert "default-src 'none'" in text
        assert "url(" not in text
        assert "@import" not in text


@FILES_ALONE
def test_one_that_is_stopped_leaves_nothing(inbox: Inbox, page: Page, write: Write, tmp_path: Path) -> None:
    inbox.put(page, *(inbox.conversation(f"{each}", inbox.said(0)) for each in range(150)))
    out = tmp_path / "out"
    out.mkdir()

    def stop(number: int) -> None:
        if number == 120:
            raise Stopped

    for name in ("one.html", "folder"):
        with pytest.raises(Stopped):
            write(out / name, stop)
    assert list(out.iterdir()) == []


@FILES_ALONE
def test_what_is_there_is_never_overwritten_by_a_folder(
    inbox: Inbox, page: Page, write: Write, tmp_path: Path
) -> None:
    inbox.put(page, inbox.conversation("7", inbox.said(0)))
    (tmp_path / "empty").mkdir()
    write(tmp_path / "empty")
    for path in (tmp_path / "empty", tmp_path / "nowhere" / "out"):
        with pytest.raises(OutputFailed):
            write(path)
    target = tmp_path / "empty" / "conversations-0001.html"
    target.write_bytes(target.read_bytes()[:-1])
    with pytest.raises(FileIncomplete):
        check_folder(tmp_path / "empty")
    with pytest.raises(FileIncomplete):
        check_folder(tmp_path)


@FILES_ALONE
def test_an_empty_inbox_is_a_page_that_says_so(write: Write, tmp_path: Path) -> None:
    assert write(tmp_path / "out").conversations == 0
    assert "0 conversations" in (tmp_path / "out" / "index.html").read_text()


@pytest.mark.parametrize(
    ("served", "label", "url"),
    [
        ('[{"image_data": {"url": "https://a.invalid/x"}, "name": "x.jpg"}]', "x.jpg", "https://a.invalid/x"),
        ('{"data": [{"video_data": {"url": "https://a.invalid/v"}}]}', "attachment", "https://a.invalid/v"),
        ('[{"name": "Media not available"}]', "Media not available", None),
        ('[{"file_url": "file:///etc/passwd", "mime_type": "text/plain"}]', "text/plain", None),
        (
            '[{"generic_template": {"title": "T", "cta": {"url": "https://a.invalid/t"}}}]',
            "T",
            "https://a.invalid/t",
        ),
    ],
)
def test_an_attachment_is_a_link_however_it_was_served(served: str, label: str, url: str | None) -> None:
    (link,) = links_of(attachments=served)
    assert (link.label, link.url) == (label, url)


def test_shares_stickers_and_stories_are_links_too() -> None:
    links = links_of(
        attachments="{oops",
        shares='[{"link": "https://a.invalid/s"}]',
        sticker="https://a.invalid/k",
        story='{"reply_to": {"link": "https://a.invalid/r", "id": "1"}, "mention": 3}',
    )
    assert [link.url for link in links] == [f"https://a.invalid/{each}" for each in "skr"]


@given(st.text(max_size=20) | st.sampled_from(["[1]", "[[]]", '{"data": 1}', '[{"image_data": 1}]', "null"]))
def test_no_attachment_is_too_odd(served: str) -> None:
    links_of(attachments=served, shares=served, sticker=served, story=served)


@pytest.mark.parametrize(
    ("kind", "label"), [("sticker", "sticker"), ("ig_post", "shared post"), (7, "attachment")]
)
def test_an_attachment_without_a_name_is_named_by_its_type(kind: object, label: str) -> None:
    (link,) = links_of(attachments=json.dumps([{"id": "1", "type": kind, "sticker_id": "369239"}]))
    assert link.label == label

"""The search as its users run it."""

import json
from pathlib import Path

from tests.cli.fixtures import MakeInbox, OnTerminal, Run


def test_a_search_after_a_sync_finds_words_with_their_places(inbox: MakeInbox, run: Run) -> None:
    box = inbox("--conversations", "30")
    assert run("sync").returncode == 0
    # The sync has left nothing to do, and the search brings up to date what comes by another way.
    assert box.query("SELECT * FROM derive_queue") == []
    ((message_id,),) = box.query("SELECT message_id FROM messages WHERE NOT is_from_page LIMIT 1")
    box.change("UPDATE messages SET text = 'Xin chào, Đà Lạt? 212 555 2368' WHERE message_id = ?", message_id)
    ended = run("search", '"da lat" chao', "--json", INBOXSYNC_DEFAULT_REGION="US")
    assert ended.returncode == 0, ended.stderr
    (found,) = json.loads(ended.stdout)
    assert found["message_id"] == message_id
    assert found["page_id"] == box.ready["page_id"]
    text, places = found["text"], found["highlights"]
    assert [text[each["start"] : each["end"]] for each in places] == ["chào", "Đà", "Lạt"]
    assert box.query(
        "SELECT kind, value, message_id FROM contact_details WHERE message_id = ?", message_id
    ) == [("phone", "+12125552368", message_id)]
    shown = run("search", "da lat")
    assert "Xin chào, Đà Lạt?" in shown.stdout
    for nothing in (("dalat",), ("lat", "--since", "2100-01-01")):
        assert run("search", *nothing, "--json").stdout.strip() == "[]"


def test_a_search_says_how_many_it_has_found(inbox: MakeInbox, run: Run) -> None:
    box = inbox("--conversations", "10")
    assert run("sync").returncode == 0
    box.change("UPDATE messages SET text = 'nothing of it'")
    ids = [message_id for (message_id,) in box.query("SELECT message_id FROM messages LIMIT 3")]
    box.change("UPDATE messages SET text = 'a refund' WHERE message_id = ?", ids[0])
    assert run("search", "refund").stdout.splitlines()[-1] == "1 message found."
    for message_id in ids:
        box.change("UPDATE messages SET text = 'two refunds' WHERE message_id = ?", message_id)
    assert run("search", "“two refunds”").stdout.splitlines()[-1] == "3 messages found."
    shown = run("search", "refu＊", "--limit", "2").stdout.splitlines()[-1]
    assert shown == "2 of 3 messages shown: use --limit, --since, or another word."
    assert run("search", "refunds -two").stdout == "No message has these words.\n"


def test_what_cannot_be_searched_for_is_a_usage_error(inbox: MakeInbox, run: Run) -> None:
    inbox("--conversations", "1")
    ended = run("search", "?!")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "no word to search for" in ended.stderr
    assert run("search", "x", "--page", "999").returncode == 2
    for since in ("", "yesterday", "2026-02-30"):
        ended = run("search", "x", "--since", since)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert "is not a time" in ended.stderr


def test_no_text_of_a_stranger_drives_the_terminal(
    inbox: MakeInbox, run: Run, on_terminal: OnTerminal
) -> None:
    box = inbox("--conversations", "1")
    assert run("sync").returncode == 0
    driving = "\x1b]0;title\x07\x1b[2J\x9b2J\x7f"
    box.change("UPDATE messages SET text = ?", f"hello {driving}\tthere\nand here")
    box.change("UPDATE messenger_conversations SET sender_name = ?", f"Ann {driving}")
    box.change("UPDATE facebook_pages SET name = ?", f"Shop {driving}")
    for command in (
        ["search", "hello"],
        ["pages", "list"],
        ["pages", "show", box.ready["page_id"]],
        ["report", "activity"],
    ):
        code, shown = on_terminal("stdout", *command)
        assert code == 0
        assert b"2J" in shown
        for sent in (b"\x1b]", b"\x1b[2J", b"\x07", b"\xc2\x9b", b"\x7f"):
            assert sent not in shown, command
        assert driving[:1] not in run(*command).stdout
    ended = run("search", "hello", "--json")
    assert json.loads(ended.stdout)[0]["text"] == f"hello {driving}\tthere\nand here"
    assert not any("\x7f" <= each <= "\x9f" for each in ended.stdout)


def test_a_copied_database_can_be_searched(inbox: MakeInbox, run: Run, tmp_path: Path) -> None:
    box = inbox("--conversations", "5")
    assert run("sync").returncode == 0
    target = f"sqlite:///{tmp_path / 'copy.db'}"
    copied = run("db", "copy", f"sqlite:///{box.database}", target)
    assert copied.returncode == 0, copied.stderr
    ((text,),) = box.query("SELECT text FROM messages WHERE text <> '' LIMIT 1")
    word = max(text.split(), key=len).strip("?!.,")
    here, there = (
        json.loads(run("search", word, "--json", INBOXSYNC_DATABASE_URL=url).stdout)
        for url in (f"sqlite:///{box.database}", target)
    )
    assert here
    assert here == there

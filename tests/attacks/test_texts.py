"""Texts that take long to read: the time is linear, what is kept is bounded, and nobody waits for it."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from inboxsync.store.search.words import MOST_LETTERS, placed_words, terms_of
from inboxsync.sync import texts
from inboxsync.sync.details import details_in
from inboxsync.sync.folding import folded
from tests.attacks.fixtures import OpenSite, Site

INPUT = Path(__file__).parents[3] / "shared" / "cases" / "use" / "combining-marks.ndjson"
# Marks that are left out, and marks that are kept.
RUNS = {
    "Latin": "\u0301\u0323",
    "Thai": "\u0e38\u0e48",
    "Hebrew": "\u05b0\u05c7",
    "Bengali": "\u09bc\u09cd",
    "Tibetan": "\u0f71\u0f72",
    "mixed": "\u0301\u0e38\u0323\u0e48",
}
READERS: dict[str, Callable[[str], object]] = {"terms": terms_of, "places": placed_words, "details": folded}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("script", RUNS)
def test_no_run_of_marks_reaches_normalize_whole(
    reader: str, script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time grows by the square of the longest run of marks."""
    import unicodedata  # noqa: PLC0415 - its function is replaced here

    plain = unicodedata.normalize
    longest = 0

    def watched(form: Literal["NFC", "NFD", "NFKC", "NFKD"], text: str) -> str:
        nonlocal longest
        run = 0
        for character in text:
            run = run + 1 if unicodedata.combining(character) else 0
            longest = max(longest, run)
        return plain(form, text)

    monkeypatch.setattr(unicodedata, "normalize", watched)
    READERS[reader]("a" + RUNS[script] * 20_000 + " end")
    assert longest <= 64


def test_what_is_kept_of_one_message_is_bounded() -> None:
    text = "\ufdfa" * 200_000  # each becomes 18 letters
    assert len(terms_of(text)) <= 2 * MOST_LETTERS
    assert sum(len(word.text) for word in placed_words(text)) <= MOST_LETTERS
    numbers = " ".join(f"+84 912 {number:06d}" for number in range(5000))
    assert 0 < len(list(details_in(numbers, region="VN"))) <= 100
    addresses = " ".join(f"a{number}@example.com" for number in range(50_000))
    assert 0 < len(list(details_in(addresses, region=None))) <= 20_000 // 15


def test_a_number_and_an_address_in_a_usual_text_are_found_all_the_same() -> None:
    text = "1/2/3/4 " * 200 + "call +84 912 345 678 or write to ann@example.com"
    assert set(details_in(text, region="VN")) == {("phone", "+84912345678"), ("email", "ann@example.com")}


def watch_locks(site: Site, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each text that is read: whether another process could write meanwhile."""
    path = site.engine.settings.data_dir / "inboxsync.db"
    seen: list[bool] = []

    def note_whether_free() -> None:
        with sqlite3.connect(path, timeout=0, isolation_level=None) as other:
            try:
                other.execute("BEGIN IMMEDIATE")
                other.execute("ROLLBACK")
                seen.append(True)
            except sqlite3.OperationalError:
                seen.append(False)
        other.close()

    def terms(text: str | None) -> str:
        note_whether_free()
        return terms_of(text)

    def details(text: str, *, region: str | None) -> object:
        note_whether_free()
        return details_in(text, region=region)

    monkeypatch.setattr(texts, "terms_of", terms)
    monkeypatch.setattr(texts, "details_in", details)
    return seen


def test_texts_are_read_while_others_may_write(site: OpenSite, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = site()
    seen = watch_locks(opened, monkeypatch)
    page = opened.page()
    opened.write(page, *(f"text {number}" for number in range(20)))
    assert len(seen) == 40
    opened.statements("UPDATE messages SET text = 'changed: call ' || text || ' at +84 912 345 678'")
    opened.engine.derive()
    assert len(seen) == 80
    with opened.engine.store.read() as connection:
        found = connection.exec_driver_sql("SELECT count(*) FROM contact_details").scalar_one()
    assert found == 20
    assert all(seen)


def test_texts_are_read_again_for_a_new_region_while_others_may_write(
    site: OpenSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = site()
    opened.write(opened.page(), *(f"0912 345 6{number}" for number in range(10, 30)))
    again = site(default_region="VN")
    seen = watch_locks(again, monkeypatch)
    again.engine.derive()
    with again.engine.store.read() as connection:
        found = connection.exec_driver_sql("SELECT count(*) FROM contact_details").scalar_one()
    assert (found, len(seen) >= 20, all(seen)) == (20, True, True)


def test_the_marks_that_stopped_the_service_are_searchable(site: OpenSite) -> None:
    if not INPUT.exists():
        pytest.skip(f"{INPUT.name} is not there")
    text = max(INPUT.read_text(encoding="utf-8").split('"'), key=len)
    assert len(terms_of(text)) <= 2 * MOST_LETTERS
    opened = site()
    opened.write(opened.page(), *(f"needle {number} {text[:5000]}" for number in range(20)))
    shown = opened.client().get("/api/v1/messages/search", params={"q": "needle"})
    assert shown.status_code == 200
    assert len(shown.json()["items"]) == 20

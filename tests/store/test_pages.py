from datetime import UTC, datetime, timedelta

import pytest

from inboxsync.errors import PageAmbiguous, PageUnknown
from inboxsync.model import History, Page, Platform, TokenReason, TokenState
from inboxsync.store import Store
from inboxsync.store.state.pages import (
    find_page,
    find_pages,
    get_page,
    set_batch_size,
    set_history,
    set_time_windows,
    set_token_state,
    upsert_page,
)
from tests.store.fixtures import Rows, Statements

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)


def test_what_is_learned_of_a_page_is_kept(store: Store, page: Page, other_page: Page) -> None:
    with store.write() as connection:
        set_history(connection, page, History.ALL, now=LATER)
        set_batch_size(connection, page, 25, now=LATER)
        set_time_windows(connection, page, False, now=LATER)
    with store.read() as connection:
        learned = get_page(connection, page.id)
        assert (learned.history, learned.batch_size, learned.time_windows) == (History.ALL, 25, False)
        assert get_page(connection, other_page.id) == other_page


def test_what_is_known_already_writes_nothing(
    store: Store, page: Page, statements: Statements, rows: Rows
) -> None:
    sent: list[str] = []
    for at in (LATER, LATER + timedelta(hours=1)):
        with statements() as newer, store.write() as connection:
            set_history(connection, page, History.NEWEST, now=at)
            set_batch_size(connection, page, 50, now=at)
            set_time_windows(connection, page, True, now=at)
        sent = newer  # of the second time
    assert not [sql for sql in sent if sql.startswith("UPDATE")]
    (updated_at,) = rows(f"SELECT updated_at FROM facebook_pages WHERE id = '{page.id}'")[0]
    assert updated_at == "2026-06-01T12:01:00.000Z"


def test_a_stale_record_does_not_hide_a_change(store: Store, page: Page) -> None:
    with store.write() as connection:
        set_batch_size(connection, page, 50, now=NOW)
        set_batch_size(connection, page, None, now=NOW)  # what `page` still says
        assert get_page(connection, page.id).batch_size is None


def test_a_new_token_clears_the_reason_of_the_old(store: Store, page: Page) -> None:
    with store.write() as connection:
        set_token_state(
            connection, page, TokenState.INVALID, reason=TokenReason.EXPIRED, problem="It expired.", now=NOW
        )
        ill = get_page(connection, page.id)
        assert (ill.token_reason, ill.token_problem) == (TokenReason.EXPIRED, "It expired.")
        well, is_new = upsert_page(
            connection,
            facebook_page_id="104",
            platform=Platform.MESSENGER,
            account_id="104",
            name=None,
            access_token_encrypted="y",
            now=NOW,
        )
    assert not is_new
    assert well == page


def test_a_reason_of_a_newer_version_is_another_reason(store: Store, page: Page) -> None:
    with store.write() as connection:
        connection.exec_driver_sql("UPDATE facebook_pages SET token_reason = 'moon_phase'")
        assert get_page(connection, page.id).token_reason is TokenReason.OTHER


def named(store: Store, meta_id: str, name: str | None, platform: Platform = Platform.MESSENGER) -> Page:
    with store.write() as connection:
        return upsert_page(
            connection,
            facebook_page_id=meta_id,
            platform=platform,
            account_id=meta_id,
            name=name,
            access_token_encrypted="x",
            now=NOW,
        )[0]


def test_a_page_is_found_by_our_id_metas_id_or_a_name_that_only_it_has(store: Store) -> None:
    shop, bakery, exact = (
        named(store, "9104", "Shop"),
        named(store, "9105", "Góc Bánh"),
        named(store, "9106", "SHOP"),
    )
    named(store, "9107", None)
    with store.read() as connection:
        for text in (bakery.id, bakery.id.upper(), "9105", "Góc Bánh", "goc banh", "GÓC  BÁNH"):
            assert find_pages(connection, [text]) == [bakery], text
        # A name as it is written goes before the same one in other letters, and an id before any name.
        assert find_pages(connection, ["Shop", "SHOP"]) == [shop, exact]
        with pytest.raises(PageAmbiguous):
            find_pages(connection, ["shop"])
        for text in ("", " ", "!", "None", "9108", bakery.id[:-1]):
            with pytest.raises(PageUnknown):
                find_pages(connection, [text])


def test_a_name_on_two_platforms_stands_for_both_but_not_where_one_page_is_needed(store: Store) -> None:
    both = [named(store, "9104", "Shop"), named(store, "9104", "Shop", Platform.INSTAGRAM)]
    with store.read() as connection:
        for text in ("9104", "Shop"):
            assert find_pages(connection, [text]) == both
            with pytest.raises(PageAmbiguous):
                find_page(connection, text)
        assert [find_page(connection, page.id) for page in both] == both


def test_a_page_that_is_called_like_an_id_hides_none(store: Store) -> None:
    page = named(store, "9104", "Shop")
    named(store, "9105", "9104")
    named(store, "9106", page.id)
    with store.read() as connection:
        assert find_pages(connection, ["9104"]) == [page]
        assert find_pages(connection, [page.id]) == [page]

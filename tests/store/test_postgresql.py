"""What only a server has: users, poolers, schemas, other writers, and what it cannot hold."""

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import make_url

from inboxsync.errors import (
    InboxsyncError,
    StoreFull,
    StoreTooNew,
    StoreUnavailable,
    StoreUnreachable,
)
from inboxsync.model import Conversation, Counts, Message, Page, Participant, Platform
from inboxsync.store import Store
from inboxsync.store.connection import postgresql
from inboxsync.store.state.pages import upsert_page
from inboxsync.store.writing.stored import look_up_messages
from inboxsync.store.writing.upsert import upsert_batch
from tests.fixtures import PostgresServer, RestartedServer
from tests.store.fixtures import Fields, Rows

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def database() -> str:
    return "postgresql"


def upsert(store: Store, page: Page, *conversations: Conversation) -> Counts:
    with store.write() as connection:
        return upsert_batch(
            connection, page, conversations, folder="inbox", source="initial_sync", now=NOW
        ).counts


def changed(url: str, **parts: Fields) -> str:
    return make_url(url).set(**parts).render_as_string(hide_password=False)


def with_query(url: str, **query: str) -> str:
    return make_url(url).update_query_dict(query).render_as_string(hide_password=False)


def refusal(url: str, **options: Fields) -> InboxsyncError:
    with pytest.raises(InboxsyncError) as caught:
        Store.open(url, **options)
    error = caught.value
    assert error.hint
    assert "secret" not in error.message + error.hint
    return error


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_way_to_write_the_address_is_understood(url: str, scheme: str) -> None:
    Store.open(changed(url, drivername=scheme)).close()


def test_a_pooler_is_given_nothing_to_keep(url: str) -> None:
    store = Store.open(with_query(url, pgbouncer="true", sslmode="prefer"))
    name = None
    for _ in range(12):  # a driver that prepares does so after five
        with store.read() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM pg_prepared_statements").scalar() == 0
            name = connection.exec_driver_sql("SELECT current_setting('application_name')").scalar()
    assert name == "inboxsync"
    store.close()


def test_a_session_that_already_has_the_temporary_tables_is_no_trouble(store: Store, page: Page) -> None:
    # Two batches in one transaction, and two transactions in one session.
    for number in range(2):
        with store.write() as connection:
            for again in range(2):
                one = Conversation(
                    conversation_id=f"t_{number}{again}", messages=(Message(message_id="m", sent_at=NOW),)
                )
                written = upsert_batch(
                    connection, page, [one], folder="inbox", source="initial_sync", now=NOW
                )
                assert written.counts == Counts(fetched=1, inserted=1, events=1)


def test_a_missing_database_is_one_sentence(url: str) -> None:
    error = refusal(changed(url, database="nowhere"))
    assert "The database nowhere" in error.message
    assert "does not exist" in error.message
    assert "CREATE DATABASE" in error.hint


def test_a_port_where_nobody_listens_is_one_sentence() -> None:
    error = refusal("postgresql://me:secret@127.0.0.1:9/inbox")
    assert isinstance(error, StoreUnreachable)
    assert error.message == "The database inbox on 127.0.0.1:9 cannot be reached: nothing listens there."


def test_a_name_that_leads_to_several_addresses_is_told_alike() -> None:
    error = refusal("postgresql://me:secret@localhost:9/inbox")
    assert error.message == "The database inbox on localhost:9 cannot be reached: nothing listens there."


def test_a_host_that_is_not_there_is_one_sentence() -> None:
    assert "name leads nowhere" in refusal("postgresql://me:secret@no.such.host.invalid/inbox").message


def test_an_unknown_user_is_one_sentence(url: str) -> None:
    error = refusal(changed(url, username="stranger", password="secret"))
    assert "does not let this user in" in error.message


def test_a_wrong_password_is_one_sentence(restarted: RestartedServer) -> None:
    admin = restarted.admin
    admin.execute("CREATE ROLE guarded LOGIN PASSWORD 'the right one'")
    ((hba,),) = admin.execute("SHOW hba_file")
    admin.execute(
        f"COPY (SELECT 'local all guarded scram-sha-256' UNION ALL SELECT 'local all all trust') TO '{hba}'"
    )
    admin.execute("SELECT pg_reload_conf()")
    error = refusal(changed(restarted.url, username="guarded", password="secret"))
    assert "the password is wrong" in error.message
    assert type(error) is StoreUnavailable  # trying again would fail again


def test_an_old_server_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql, "_OLDEST", 990000)
    assert "13 or newer is needed" in refusal(url).message


def test_a_database_that_does_not_hold_every_letter_is_refused(server: PostgresServer) -> None:
    url = server.url_of("latin")
    server.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    assert "LATIN1" in refusal(url).message
    server.drop(url)


def test_a_read_only_database_is_one_sentence(url: str, server: PostgresServer) -> None:
    name = make_url(url).database
    server.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    other = Store.open(url)
    with pytest.raises(StoreUnavailable, match="read-only"), other.write() as connection:
        connection.exec_driver_sql("DELETE FROM sync_runs")
    other.close()


def test_a_user_without_rights_is_told_which(url: str, server: PostgresServer) -> None:
    server.execute("DROP ROLE IF EXISTS reader")
    server.execute("CREATE ROLE reader LOGIN")
    store_url = changed(url, username="reader")
    error = refusal(store_url)
    assert "permission denied" in error.message
    assert "Grant" in error.hint
    error = refusal(store_url, schema_name="own")
    assert "permission denied" in error.message
    server.execute("DROP ROLE reader")


def test_a_schema_of_ones_own_is_made_and_kept_apart(url: str) -> None:
    name = 'Ann\'s "100 %" schema'
    apart, public = Store.open(url, schema_name=name), Store.open(url)
    for store, count in ((apart, 1), (public, 0)):
        if count:
            with store.write() as connection:
                upsert_page(
                    connection,
                    facebook_page_id="1",
                    platform=Platform.MESSENGER,
                    account_id="1",
                    name=None,
                    access_token_encrypted="x",
                    now=NOW,
                )
        with store.read() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM facebook_pages").scalar() == count
    with public.read() as connection:
        assert (
            connection.exec_driver_sql(
                "SELECT count(*) FROM information_schema.tables WHERE table_schema LIKE 'Ann%%'"
            ).scalar()
            == len(__import__("inboxsync.store.tables", fromlist=["x"]).metadata.tables) + 2
        )
    apart.close()
    public.close()


def test_a_newer_schema_is_told_before_anything_is_changed(url: str, store: Store) -> None:
    with store.write() as connection:
        connection.exec_driver_sql("UPDATE inboxsync_schema_version SET version_num = '9999'")
    assert isinstance(refusal(url, upgrade=True), StoreTooNew)


@pytest.mark.usefixtures("page")
def test_reading_changes_nothing(store: Store) -> None:
    with pytest.raises(StoreUnavailable), store.read() as connection:
        connection.exec_driver_sql("DELETE FROM facebook_pages")


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("53100", StoreFull),
        ("40001", StoreUnreachable),
        ("40P01", StoreUnreachable),
        ("55P03", StoreUnreachable),
        ("57P01", StoreUnreachable),
        ("08006", StoreUnreachable),
        ("53300", StoreUnreachable),
        ("57014", StoreUnreachable),
        ("25006", StoreUnavailable),
        ("42501", StoreUnavailable),
    ],
)
def test_what_passes_is_told_apart_from_what_does_not(store: Store, state: str, kind: type) -> None:
    with pytest.raises(StoreUnavailable) as caught, store.write() as connection:
        connection.exec_driver_sql(
            f"DO $$ BEGIN RAISE EXCEPTION 'what a customer wrote' USING ERRCODE = '{state}'; END $$"
        )
    assert type(caught.value) is kind


NUL = "a\0b"


def test_a_nul_is_replaced_and_noted(store: Store, page: Page, rows: Rows) -> None:
    served = Conversation(
        conversation_id="t_1",
        source_updated_at=NOW,
        contact=Participant(id="7", name=NUL),
        participants=(Participant(id="7", name=NUL),),
        snippet=NUL,
        messages=(
            Message(message_id="m_1", sent_at=NOW, text=NUL, sender_name=NUL, extra='{"k":1}'),
            Message(message_id="m_2", sent_at=NOW, attachments='[{"name":"a\\u0000b","path":"c:\\\\u0000"}]'),
            Message(message_id="m_3", sent_at=NOW, text="a literal \\u0000"),
        ),
    )
    assert upsert(store, page, served).events == 3
    texts = rows("SELECT text, sender_name, attachments, extra FROM messages ORDER BY message_id")
    assert texts[0][:2] == ("a\ufffdb", "a\ufffdb")
    assert json.loads(texts[0][3]) == {"k": 1, "nul_replaced": True}
    assert json.loads(texts[1][2]) == [{"name": "a\ufffdb", "path": "c:\\u0000"}]
    assert json.loads(texts[1][3]) == {"nul_replaced": True}
    assert texts[2] == ("a literal \\u0000", None, None, None)
    ((name, snippet, extra),) = rows("SELECT sender_name, last_message, extra FROM messenger_conversations")
    assert (name, snippet, json.loads(extra)) == ("a\ufffdb", "a\ufffdb", {"nul_replaced": True})
    assert upsert(store, page, served) == Counts(fetched=1, unchanged=1)


def test_an_edit_that_brings_a_nul_is_noted_beside_what_is_there(
    store: Store, page: Page, rows: Rows
) -> None:
    for text in ("before", NUL):
        message = Message(message_id="m_1", sent_at=NOW, text=text, extra='{"k":1}')
        upsert(store, page, Conversation(conversation_id="t_1", messages=(message,)))
    ((text, extra),) = rows("SELECT text, extra FROM messages")
    assert (text, json.loads(extra)) == ("a\ufffdb", {"k": 1, "nul_replaced": True})


def test_json_that_only_looks_different_changes_nothing(store: Store, page: Page, rows: Rows) -> None:
    versions = []
    for reactions in ('[{"reaction":"love","users":[]}]', '[ {"users": [], "reaction": "love"} ]'):
        message = Message(message_id="m_1", sent_at=NOW, reactions=reactions)
        upsert(store, page, Conversation(conversation_id="t_1", messages=(message,)))
        versions += rows("SELECT ctid::text, xmin::text FROM messages")
    assert versions[0] == versions[1]


def test_what_is_as_it_was_writes_no_row(store: Store, page: Page, rows: Rows) -> None:
    batch = [
        Conversation(
            conversation_id=f"t_{number}",
            source_updated_at=NOW,
            contact=Participant(id="7", name="Ann"),
            messages=(Message(message_id=f"m_{number}", sent_at=NOW, text="hello"),),
        )
        for number in range(50)
    ]
    upsert(store, page, *batch)
    versions = "SELECT ctid::text, xmin::text FROM messages UNION ALL "
    versions += "SELECT ctid::text, xmin::text FROM messenger_conversations"
    before = sorted(rows(versions))
    for _ in range(3):
        assert upsert(store, page, *batch) == Counts(fetched=50, unchanged=50)
    assert sorted(rows(versions)) == before


def test_two_that_store_the_same_conversations_at_once_lose_nothing(
    store: Store, page: Page, rows: Rows
) -> None:
    batch = [
        Conversation(
            conversation_id=f"t_{number}",
            source_updated_at=NOW,
            messages=(Message(message_id=f"m_{number}", sent_at=NOW, text="hello"),),
        )
        for number in range(200)
    ]
    counts: list[Counts] = []

    def store_them() -> None:
        while True:
            try:
                counts.append(upsert(store, page, *batch))
            except StoreUnreachable:  # what a sync does, too
                continue
            return

    threads = [threading.Thread(target=store_them) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(each.inserted for each in counts) == sum(each.events for each in counts) == 200
    assert rows("SELECT count(*) FROM messenger_conversations") == [(200,)]
    assert rows("SELECT count(*) FROM messages") == [(200,)]


def test_a_newer_answer_that_landed_first_is_not_overwritten(
    store: Store, page: Page, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    upsert(store, page, Conversation(conversation_id="t_1", source_updated_at=NOW, snippet="old"))
    newest = Conversation(conversation_id="t_1", source_updated_at=NOW + timedelta(hours=2), snippet="new")
    late = Conversation(conversation_id="t_1", source_updated_at=NOW + timedelta(hours=1), snippet="late")
    look_up = look_up_messages

    def overtaken(*arguments: Fields) -> object:
        monkeypatch.undo()
        upsert(store, page, newest)  # another process, after this one has read what is stored
        return look_up(*arguments)

    monkeypatch.setattr("inboxsync.store.writing.upsert.look_up_messages", overtaken)
    assert upsert(store, page, late).updated == 0
    assert rows("SELECT last_message FROM messenger_conversations") == [("new",)]

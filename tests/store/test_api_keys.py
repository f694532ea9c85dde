from datetime import UTC, datetime

import pytest

from inboxsync.errors import ApiKeyNameTaken, ApiKeyUnknown
from inboxsync.model import Scope
from inboxsync.store import Store
from inboxsync.store.state.credentials import create_api_key, fingerprint_of, list_api_keys, revoke_api_key

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)


def test_a_key_is_kept_as_a_digest_alone(store: Store) -> None:
    with store.write() as connection:
        made, text = create_api_key(connection, name="script", scope=Scope.SYNC, now=NOW)
    with store.read() as connection:
        assert list_api_keys(connection) == [made]
        row = connection.exec_driver_sql("SELECT * FROM api_keys").one()
    assert text.startswith(made.prefix)
    assert text not in str(row)
    assert text.rpartition(".")[2] not in str(row)
    assert made.digest == fingerprint_of(text).hex()
    assert made.digest not in repr(made)


def test_a_name_is_never_used_twice(store: Store) -> None:
    with store.write() as connection:
        create_api_key(connection, name="script", scope=Scope.READ, now=NOW)
        revoke_api_key(connection, "script", now=NOW)
    for name in ("script", "local", "INBOXSYNC_API_KEY"):
        with pytest.raises(ApiKeyNameTaken), store.write() as connection:
            create_api_key(connection, name=name, scope=Scope.READ, now=NOW)


def test_a_revoked_key_keeps_the_time_it_was_revoked_at(store: Store) -> None:
    with store.write() as connection:
        create_api_key(connection, name="script", scope=Scope.READ, now=NOW)
        first = revoke_api_key(connection, "script", now=NOW)
        again = revoke_api_key(connection, "script", now=NOW.replace(hour=13))
    assert first == again
    assert first.revoked_at == NOW
    with pytest.raises(ApiKeyUnknown), store.write() as connection:
        revoke_api_key(connection, "nobody", now=NOW)

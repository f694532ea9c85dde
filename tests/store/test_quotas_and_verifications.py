from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inboxsync.model import Certificate, Page, RatePool
from inboxsync.store import Store
from inboxsync.store.state.quotas import list_rate_pools, put_rate_pool
from inboxsync.store.state.verifications import newest_certificate, put_certificate
from inboxsync.store.writing.conversation_rows import new_id

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)

pools_strategy = st.lists(
    st.builds(
        RatePool,
        object_id=st.sampled_from(["104", "105"]),
        type=st.sampled_from(["messenger", "app"]),
        used_percent=st.none() | st.integers(0, 200),
        blocked_until=st.none() | st.sampled_from([NOW, NOW + timedelta(hours=1)]),
        refusals=st.integers(0, 9),
    )
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(pools=pools_strategy)
def test_the_last_word_on_each_pool_is_kept(store: Store, pools: list[RatePool]) -> None:
    with store.write() as connection:
        connection.exec_driver_sql("DELETE FROM rate_pools")
        for pool in pools:
            put_rate_pool(connection, pool, now=NOW)
        kept = list_rate_pools(connection)
    assert {(pool.object_id, pool.type): pool for pool in kept} == {
        (pool.object_id, pool.type): pool for pool in pools
    }


def certificate(page: Page, **changes: Any) -> Certificate:
    values = {"id": new_id(), "page_id": page.id, "checked_at": NOW, "is_complete": True, "summary": "{}"}
    return Certificate(**(values | changes))


def test_the_newest_certificate_of_a_page_counts(store: Store, page: Page, other_page: Page) -> None:
    newest = certificate(page, checked_at=NOW + timedelta(days=1), is_complete=False, summary="[1]")
    with store.write() as connection:
        assert newest_certificate(connection, page) is None
        for each in (newest, certificate(page), certificate(other_page, checked_at=NOW + timedelta(days=2))):
            put_certificate(connection, each)
        assert newest_certificate(connection, page) == newest

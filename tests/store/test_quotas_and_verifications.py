from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from inboxsync.model import Page, Quota, Verification
from inboxsync.store import Store
from inboxsync.store.connection.types import new_id
from inboxsync.store.state.pages import list_quotas, newest_verification, put_quota, put_verification
from tests.fixtures import examples
from tests.store.fixtures import Fields

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)

quotas_strategy = st.lists(
    st.builds(
        Quota,
        object_id=st.sampled_from(["104", "105"]),
        type=st.sampled_from(["messenger", "app"]),
        used_percent=st.none() | st.integers(0, 200),
        blocked_until=st.none() | st.sampled_from([NOW, NOW + timedelta(hours=1)]),
        refusals=st.integers(0, 9),
    )
)


@settings(max_examples=examples(30))
@given(quotas=quotas_strategy)
def test_the_last_word_on_each_quota_is_kept(store: Store, quotas: list[Quota]) -> None:
    with store.write() as connection:
        connection.exec_driver_sql("DELETE FROM quotas")
        for quota in quotas:
            put_quota(connection, quota, now=NOW)
        kept = list_quotas(connection)
    assert {(quota.object_id, quota.type): quota for quota in kept} == {
        (quota.object_id, quota.type): quota for quota in quotas
    }


def verification(page: Page, **changes: Fields) -> Verification:
    usual = Verification(id=new_id(), page_id=page.id, checked_at=NOW, is_complete=True, summary="{}")
    return replace(usual, **changes)


def test_the_newest_verification_of_a_page_counts(store: Store, page: Page, other_page: Page) -> None:
    newest = verification(page, checked_at=NOW + timedelta(days=1), is_complete=False, summary="[1]")
    with store.write() as connection:
        assert newest_verification(connection, page) is None
        for each in (
            newest,
            verification(page),
            verification(other_page, checked_at=NOW + timedelta(days=2)),
        ):
            put_verification(connection, each)
        assert newest_verification(connection, page) == newest

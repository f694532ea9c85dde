"""A session ends with the very key that began it, with its log-out, and at the border of its database."""

import httpx2
import pytest

from inboxsync.store.state.credentials import revoke_api_key
from tests.attacks.fixtures import OpenSite, Site

FIXED = "fixed-key-0123456789"
SECRET = "a secret key that two services share"


def cookies_of(client: httpx2.Client) -> dict[str, str]:
    return {cookie.name: cookie.value or "" for cookie in client.cookies.jar}


def logged_in(site: Site, key: str = "") -> dict[str, str]:
    """The cookies of a new session that works."""
    visitor = site.visitor()
    visitor.log_in(key)
    assert visitor.get("/").status_code == 200
    return cookies_of(visitor.client)


def opens(site: Site, cookies: dict[str, str], path: str = "/", **headers: str) -> bool:
    sent = "; ".join(f"{name}={value}" for name, value in cookies.items())
    return site.client(Cookie=sent, **headers).get(path).status_code == 200


def test_a_changed_key_of_the_environment_ends_its_sessions(site: OpenSite) -> None:
    kept = logged_in(site(api_key=FIXED), FIXED)
    assert opens(site(api_key=FIXED), kept)  # after a restart
    assert not opens(site(api_key="another-key-0123456789"), kept)
    assert not opens(site(), kept)


@pytest.mark.parametrize("later", ["the same process", "a restart", "another process on the database"])
def test_a_session_that_was_left_stays_ended(site: OpenSite, later: str) -> None:
    first = site()
    beside = site()
    key = first.key()
    visitor = first.visitor()
    visitor.log_in(key)
    kept = cookies_of(visitor.client)
    beside.forget_keys()
    assert opens(beside, kept)
    visitor.post("/logout")
    then = {"the same process": first, "another process on the database": beside}.get(later) or site()
    then.forget_keys()
    assert not opens(then, kept)
    assert logged_in(then, key) != kept


def test_a_session_opens_no_other_database_with_the_same_secret(site: OpenSite) -> None:
    one, other = site("one", secret_key=SECRET), site("other", secret_key=SECRET)
    kept = logged_in(one, one.key(name="same"))
    other.key(name="same")
    assert not opens(other, kept)
    renamed = dict(zip(logged_in(other, other.key(name="second")), kept.values(), strict=True))
    assert not opens(other, renamed)


def test_a_key_made_again_under_its_old_name_opens_no_old_session(site: OpenSite) -> None:
    opened = site()
    kept = logged_in(opened, opened.key(name="shop"))
    opened.key(name="second")
    with opened.engine.store.write() as connection:
        revoke_api_key(connection, "shop", now=opened.engine.clock.now())
        connection.exec_driver_sql("DELETE FROM api_keys WHERE name = 'shop'")
    opened.key(name="shop")
    assert not opens(opened, kept)


def test_a_key_whose_digest_is_replaced_ends_its_sessions(site: OpenSite) -> None:
    opened = site()
    kept = logged_in(opened, opened.key(name="shop"))
    opened.statements(f"UPDATE api_keys SET digest = '{'0' * 64}'")
    opened.forget_keys()
    assert not opens(opened, kept)


def test_a_session_without_a_key_is_of_this_machine_only(site: OpenSite) -> None:
    opened = site()
    kept = logged_in(opened)
    assert opens(opened, kept)
    assert not opens(opened, kept, **{"X-Forwarded-For": "203.0.113.9"})
    opened.key()
    assert not opens(opened, kept)


def test_services_of_one_host_leave_each_others_cookies_alone(site: OpenSite) -> None:
    one, other = site("one"), site("other")
    visitor = one.visitor()
    visitor.log_in(one.key())
    # A browser sends all of them to every port.
    visitor.client.base_url = httpx2.URL(other.url)
    visitor.log_in(other.key())
    assert visitor.get("/").status_code == 200
    visitor.client.base_url = httpx2.URL(one.url)
    assert visitor.get("/").status_code == 200
    assert len(cookies_of(visitor.client)) == 2


def test_with_https_no_other_name_of_the_domain_can_set_the_cookie(site: OpenSite) -> None:
    opened = site(trusted_proxies="127.0.0.1")
    cookie = opened.client(**{"X-Forwarded-Proto": "https"}).get("/login").headers["set-cookie"]
    assert cookie.startswith("__Host-inboxsync_session_")
    assert "Secure" in cookie
    assert "Path=/" in cookie
    assert "Domain" not in cookie

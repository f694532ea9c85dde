"""Guessing keys: what slows it down cannot be avoided, and does not lock out others."""

import pytest

from inboxsync.api.auth import Guesses
from inboxsync.errors import SettingsInvalid
from inboxsync.settings import load_settings
from tests.attacks.fixtures import OpenSite
from tests.fixtures import FakeClock

GUESSES = 10
WEAK = (" " * 16, "\t" * 20, "a" * 40, "ab" * 20, "12345" * 4, "short", " a b c d e " * 5)
UNUSABLE = (" a key with a blank before", "a key with a blank behind ", "a key\nof two lines")


def test_no_header_makes_guesses_come_from_other_addresses(site: OpenSite) -> None:
    opened = site()
    key = opened.key()
    for number in range(GUESSES):
        guess = {"X-API-Key": f"ibs_{number}", "X-Forwarded-For": f"203.0.113.{number}"}
        assert opened.client(**guess).get("/api/v1/pages").status_code == 401
    refused = opened.client(**{"X-API-Key": key, "X-Forwarded-For": "203.0.113.99"}).get("/api/v1/pages")
    assert refused.status_code == 429


def test_only_a_named_proxy_says_where_a_request_comes_from(site: OpenSite) -> None:
    opened = site(trusted_proxies="127.0.0.1")
    key = opened.key()
    for number in range(2 * GUESSES):
        guess = {"X-API-Key": f"ibs_{number}", "X-Forwarded-For": "203.0.113.1"}
        opened.client(**guess).get("/api/v1/pages")
    right = {"X-API-Key": key, "X-Forwarded-For": "203.0.113.2"}
    assert opened.client(**right).get("/api/v1/pages").status_code == 200


def test_one_client_behind_ipv4_in_ipv6_does_not_lock_out_the_others(clock: FakeClock) -> None:
    guesses = Guesses(clock)
    for _ in range(GUESSES):
        guesses.note("::ffff:203.0.113.1")
    assert guesses.seconds_to_wait("::ffff:203.0.113.1") > 0
    assert guesses.seconds_to_wait("203.0.113.1") > 0
    assert guesses.seconds_to_wait("::ffff:203.0.113.2") == 0


def test_a_network_of_ipv6_is_one_client(clock: FakeClock) -> None:
    guesses = Guesses(clock)
    for number in range(GUESSES):
        guesses.note(f"2001:db8::{number}")
    assert guesses.seconds_to_wait("2001:db8::ffff") > 0
    assert guesses.seconds_to_wait("2001:db8:0:1::1") == 0


@pytest.mark.parametrize("name", ["INBOXSYNC_API_KEY", "INBOXSYNC_SECRET_KEY"])
@pytest.mark.parametrize(
    "weak", [" " * 16, "\t" * 20, "a" * 40, "ab" * 20, "12345" * 4, "short", " a b c d e " * 5]
)
def test_a_weak_key_is_refused(name: str, weak: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, weak)
    with pytest.raises(SettingsInvalid, match=name) as refused:
        load_settings()
    assert weak not in str(refused.value)


@pytest.mark.parametrize(
    "unusable", [" a key with a blank before", "a key with a blank behind ", "a key\nof two lines"]
)
def test_a_key_that_no_header_can_carry_is_refused(unusable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INBOXSYNC_API_KEY", unusable)
    with pytest.raises(SettingsInvalid, match="without a blank"):
        load_settings()

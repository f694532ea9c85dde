import base64
import os
from pathlib import Path

import pytest

from inboxsync.errors import SettingsInvalid, StoreUnavailable, TokenUndecryptable
from inboxsync.store import TokenCipher

TOKEN = "EAAB-a-marked-token"


def test_a_sealed_token_opens_and_shows_nothing_of_it() -> None:
    token_cipher = TokenCipher(os.urandom(32))
    encrypted = token_cipher.encrypt(TOKEN, page_id="1")
    assert TOKEN.encode() not in base64.b64decode(encrypted)
    assert token_cipher.decrypt(encrypted, page_id="1") == TOKEN


def test_the_same_token_is_sealed_differently_each_time() -> None:
    token_cipher = TokenCipher(os.urandom(32))
    assert token_cipher.encrypt(TOKEN, page_id="1") != token_cipher.encrypt(TOKEN, page_id="1")


def test_a_token_does_not_open_for_another_page_or_with_another_key() -> None:
    encrypted = TokenCipher(b"k" * 32).encrypt(TOKEN, page_id="1")
    with pytest.raises(TokenUndecryptable):
        TokenCipher(b"k" * 32).decrypt(encrypted, page_id="2")
    with pytest.raises(TokenUndecryptable):
        TokenCipher(b"l" * 32).decrypt(encrypted, page_id="1")
    with pytest.raises(TokenUndecryptable):
        TokenCipher(b"k" * 32).decrypt("not base64!", page_id="1")


def test_the_key_file_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / "secret.key"
    encrypted = TokenCipher.from_file(path, may_make=True).encrypt(TOKEN, page_id="1")
    assert path.stat().st_mode & 0o777 == 0o600
    assert TokenCipher.from_file(path, may_make=True).decrypt(encrypted, page_id="1") == TOKEN
    assert [each.name for each in path.parent.iterdir()] == ["secret.key"]


def test_a_key_file_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where a folder should be")
    with pytest.raises(StoreUnavailable, match="key file"):
        TokenCipher.from_file(tmp_path / "data" / "secret.key", may_make=True)


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(SettingsInvalid):
        TokenCipher.from_secret("hunter2")


def test_any_long_text_or_32_bytes_in_base64_is_a_key() -> None:
    for secret in ("correct horse battery staple", base64.b64encode(os.urandom(32)).decode()):
        encrypted = TokenCipher.from_secret(secret).encrypt(TOKEN, page_id="1")
        assert TokenCipher.from_secret(secret).decrypt(encrypted, page_id="1") == TOKEN


def test_a_lost_key_is_not_replaced_when_tokens_are_opened(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="cannot be used"):
        TokenCipher.from_file(tmp_path / "secret.key", may_make=False)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_key_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "secret.key").write_text("")
    with pytest.raises(StoreUnavailable, match="contains no key"):
        TokenCipher.from_file(tmp_path / "secret.key", may_make=False)

"""What an engine builds once and keeps."""

import os
from pathlib import Path

import pytest

from inboxsync.engine import Engine
from inboxsync.errors import StoreUnavailable
from inboxsync.settings import Settings


def test_the_key_file_is_read_once(tmp_path: Path) -> None:
    engine = Engine(Settings(data_dir=tmp_path))
    encrypted = engine.token_cipher(may_make_key=True).encrypt("a token", page_id="1")
    engine.settings.key_file.unlink()
    assert engine.token_cipher().decrypt(encrypted, page_id="1") == "a token"


def test_a_key_file_that_appears_later_is_read_then(tmp_path: Path) -> None:
    engine, another = Engine(Settings(data_dir=tmp_path)), Engine(Settings(data_dir=tmp_path))
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            engine.token_cipher()
    encrypted = another.token_cipher(may_make_key=True).encrypt("a token", page_id="1")
    assert engine.token_cipher().decrypt(encrypted, page_id="1") == "a token"


def test_a_key_of_the_environment_needs_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INBOXSYNC_SECRET_KEY", "sixteen letters or more")
    engine = Engine(Settings(data_dir=tmp_path))
    assert engine.token_cipher() is engine.token_cipher(may_make_key=True)
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - names alone

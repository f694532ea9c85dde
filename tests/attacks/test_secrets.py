"""Secrets on the machine: on command lines, in files, and in a stolen database."""

import hashlib
from pathlib import Path

import pytest

from inboxsync.errors import SettingsInvalid, TokenUndecryptable
from inboxsync.model import Platform
from inboxsync.store import TokenCipher
from inboxsync.store.connection.database import has_password
from inboxsync.store.state.credentials import encrypt_tokens_again
from inboxsync.store.state.pages import upsert_page
from tests.attacks.fixtures import AT, OpenSite, Site
from tests.cli.fixtures import Run

OLD = "the old passphrase of the shop"
NEW = "the new passphrase of the shop"
PAGES = ("104", "105", "106")
PASSWORD = "hunter2-of-the-database"
WITH_PASSWORD = (
    f"postgresql://me:{PASSWORD}@127.0.0.1:9/inbox",
    f"postgres://me:{PASSWORD}@127.0.0.1:9/inbox",
    f"postgresql+psycopg://me:{PASSWORD}@127.0.0.1:9/inbox",
    f"postgresql:///inbox?host=127.0.0.1&user=me&password={PASSWORD}",
    f"postgresql:///inbox?sslpassword={PASSWORD}",
    f"mysql://me:{PASSWORD}@127.0.0.1/inbox",
    f"postgresql://me:{PASSWORD}@127.0.0.1:not-a-port/inbox",
)


@pytest.mark.parametrize("url", WITH_PASSWORD)
def test_a_password_on_the_command_line_is_refused_and_never_repeated(
    site: OpenSite, run: Run, tmp_path: Path, url: str
) -> None:
    site().page()
    here = f"sqlite:///{tmp_path / 'data' / 'inboxsync.db'}"
    for arguments in ((here, url), (url, here), (url, "-"), ("-", url)):
        refused = run("db", "copy", *arguments, stdin=f"{here}\n{here}\n")
        assert refused.returncode == 2
        assert "INBOXSYNC_COPY_" in refused.stderr
        assert PASSWORD not in refused.stderr + refused.stdout


@pytest.mark.parametrize(
    "url", ["sqlite:////a/b:c@d.db", "postgresql://me@host/inbox", "postgresql:///inbox"]
)
def test_an_address_without_a_password_may_be_typed(url: str) -> None:
    assert not has_password(url)


def test_addresses_come_from_the_environment_or_from_stdin(site: OpenSite, run: Run, tmp_path: Path) -> None:
    opened = site()
    opened.write(opened.page(), "hello")
    here = f"sqlite:///{tmp_path / 'data' / 'inboxsync.db'}"
    targets = [f"sqlite:///{tmp_path / name}.db" for name in "abc"]
    for copied in (
        run("db", "copy", INBOXSYNC_COPY_FROM_URL=here, INBOXSYNC_COPY_TO_URL=targets[0]),
        run("db", "copy", here, "-", stdin=f"{targets[1]}\n"),
        run("db", "copy", stdin=f"{here}\n{targets[2]}\n"),
    ):
        assert copied.returncode == 0, copied.stderr
        assert "has everything that the source has" in copied.stdout
    unnamed = run("db", "copy", here)
    assert unnamed.returncode == 2
    assert "INBOXSYNC_COPY_TO_URL" in unnamed.stderr
    wrong = run("db", "copy", here, INBOXSYNC_COPY_TO_URL=WITH_PASSWORD[0])
    assert PASSWORD not in wrong.stderr + wrong.stdout


def test_no_option_of_a_command_takes_a_secret(run: Run) -> None:
    reference = (Path(__file__).parents[2] / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    options = {word.strip("`*,:") for word in reference.split() if word.strip("`*,:").startswith("--")}
    secret = {
        each for each in options if any(part in each for part in ("token", "password", "secret", "key"))
    }
    assert secret <= {"--token-stdin", "--token-lifetime", "--tokens", "--token-days", "--app-secret"}
    assert run("pages", "add", "104", "--token", "EAAG").returncode == 2


def test_a_passphrase_costs_more_than_a_hash() -> None:
    encrypted = TokenCipher.from_secret(OLD).encrypt("EAAG", page_id="1")
    with pytest.raises(TokenUndecryptable):
        TokenCipher(hashlib.sha256(OLD.encode()).digest()).decrypt(encrypted, page_id="1")
    derived = hashlib.scrypt(
        OLD.encode(), salt=b"inboxsync secret key", n=2**15, r=8, p=1, maxmem=2**26, dklen=32
    )
    assert TokenCipher(derived).decrypt(encrypted, page_id="1") == "EAAG"


def with_tokens(site: Site) -> None:
    """Pages whose tokens are encrypted with the key of this site."""
    cipher = site.engine.token_cipher(may_make_key=True)
    with site.engine.store.write() as connection:
        for page_id in PAGES:
            upsert_page(
                connection,
                facebook_page_id=page_id,
                platform=Platform.MESSENGER,
                account_id=page_id,
                name=None,
                access_token_encrypted=cipher.encrypt(f"EAAG{page_id}", page_id=page_id),
                now=AT,
            )


def readable(site: Site) -> list[str]:
    """The tokens that this site can decrypt."""
    cipher, found = site.engine.token_cipher(may_make_key=True), []
    with site.engine.store.read() as connection:
        rows = connection.exec_driver_sql(
            "SELECT facebook_page_id, access_token_encrypted FROM facebook_pages"
        )
        for page_id, encrypted in rows.all():
            try:
                found.append(cipher.decrypt(encrypted, page_id=page_id))
            except TokenUndecryptable:
                continue
    return sorted(found)


ALL = [f"EAAG{page_id}" for page_id in PAGES]


def test_all_tokens_are_encrypted_again_with_the_key_of_the_environment(site: OpenSite, run: Run) -> None:
    with_tokens(site(secret_key=OLD))
    unnamed = run("keys", "rotate-secret", INBOXSYNC_SECRET_KEY=OLD)
    assert (unnamed.returncode, "INBOXSYNC_NEW_SECRET_KEY" in unnamed.stderr) == (2, True)
    for _ in range(2):  # run again, it changes nothing
        rotated = run("keys", "rotate-secret", INBOXSYNC_SECRET_KEY=OLD, INBOXSYNC_NEW_SECRET_KEY=NEW)
        assert rotated.returncode == 0, rotated.stderr
        assert "3 tokens" in rotated.stdout
        assert OLD not in rotated.stdout + rotated.stderr
        assert NEW not in rotated.stdout + rotated.stderr
    assert readable(site(secret_key=NEW)) == ALL
    assert readable(site(secret_key=OLD)) == []


def test_all_tokens_are_encrypted_again_with_a_new_key_file(site: OpenSite, run: Run, tmp_path: Path) -> None:
    with_tokens(site())
    key_file = tmp_path / "data" / "secret.key"
    before = key_file.read_text()
    assert run("keys", "rotate-secret").returncode == 0
    assert key_file.read_text() != before
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert not key_file.with_name("secret.key.new").exists()
    assert readable(site()) == ALL
    assert readable(site(secret_key=before)) == []


def test_a_rotation_that_was_killed_is_completed_by_the_next(
    site: OpenSite, run: Run, tmp_path: Path
) -> None:
    opened = site()
    with_tokens(opened)
    # Killed after the commit, before the new file had its name.
    prepared = tmp_path / "data" / "secret.key.new"
    new = TokenCipher.from_file(prepared, may_make=True)
    with opened.engine.store.write() as connection:
        encrypt_tokens_again(connection, old=opened.engine.token_cipher(), new=new)
    assert readable(site()) == []
    assert run("keys", "rotate-secret").returncode == 0
    assert readable(site()) == ALL


def test_a_token_that_no_key_decrypts_is_counted_and_stays(site: OpenSite, run: Run) -> None:
    opened = site()
    with_tokens(opened)
    opened.statements("UPDATE facebook_pages SET access_token_encrypted = 'x' WHERE facebook_page_id = '105'")
    rotated = run("keys", "rotate-secret")
    assert rotated.returncode == 0
    assert "2 tokens" in rotated.stdout
    assert "1 token could not be decrypted" in rotated.stdout
    assert readable(site()) == ["EAAG104", "EAAG106"]


def test_a_rotation_ends_every_session(site: OpenSite, run: Run) -> None:
    opened = site()
    visitor = opened.visitor()
    visitor.log_in(opened.key())
    cookies = "; ".join(f"{each.name}={each.value}" for each in visitor.client.cookies.jar)
    assert run("keys", "rotate-secret").returncode == 0
    assert site().client(Cookie=cookies).get("/").status_code == 303


def test_a_key_file_that_others_can_read_is_told(site: OpenSite, run: Run, tmp_path: Path) -> None:
    with_tokens(site())
    assert run("db", "check").returncode == 0
    (tmp_path / "data" / "secret.key").chmod(0o644)
    told = run("db", "check")
    assert told.returncode == 4
    assert "chmod 600" in told.stdout
    assert "secret.key" in told.stdout


def test_a_weak_new_key_is_refused(site: OpenSite) -> None:
    with pytest.raises((SettingsInvalid, ValueError)):
        site(new_secret_key="a" * 30)

"""What Tab offers, as the scripts of the shells ask for it; and the script that a real Bash loads."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.fixtures import MakeInbox, Run
from tests.fixtures import PATIENCE_SECONDS

pytestmark = pytest.mark.system

INBOXSYNC = Path(sys.executable).with_name("inboxsync")


def in_bash(run: Run, *words: str, **extra: str) -> list[str]:
    """What Bash is offered in the place of the last word."""
    asked = {"COMP_WORDS": " ".join(("inboxsync", *words)), "COMP_CWORD": str(len(words))}
    answer = run(_INBOXSYNC_COMPLETE="complete_bash", **(asked | extra))
    assert answer.stderr == ""
    return [each for each in answer.stdout.splitlines() if each]


def in_another(run: Run, shell: str, line: str) -> str:
    action = "get-args" if shell == "fish" else ""
    asked = {"_TYPER_COMPLETE_ARGS": f"inboxsync {line}", "_TYPER_COMPLETE_FISH_ACTION": action}
    return run(_INBOXSYNC_COMPLETE=f"complete_{shell}", **asked).stdout


def test_commands_and_options_are_offered(run: Run) -> None:
    assert in_bash(run, "ver") == ["verify"]
    assert in_bash(run, "export", "con") == ["contacts", "conversations"]
    assert in_bash(run, "sync", "--hist") == ["--history"]


def test_pages_are_offered_by_id_and_by_name_wherever_a_page_is_asked_for(inbox: MakeInbox, run: Run) -> None:
    source = inbox("--conversations", "5")
    source.change("UPDATE facebook_pages SET name = 'Café Blue'")
    page_id = source.page_id
    for words in (
        ("sync",),
        ("verify",),
        ("pages", "show"),
        ("pages", "set"),
        ("pages", "remove"),
        ("export", "html"),
        ("export", "contacts", "--page"),
        ("report", "activity", "--page"),
        ("search", "x", "--page"),
    ):
        assert in_bash(run, *words, page_id[:3]) == [page_id], words
        assert in_bash(run, *words, "Caf") == [r"Café\ Blue"], words
        assert run(*words[:1], "--help").returncode == 0
    assert f'"{page_id}":"Café Blue"' in in_another(run, "zsh", f"sync {page_id[:3]}")
    assert f"Café Blue\t{page_id}" in in_another(run, "fish", "sync Caf")


def test_runs_are_offered_by_id(inbox: MakeInbox, run: Run) -> None:
    source = inbox("--conversations", "5")
    run("sync")
    ((run_id,),) = source.query("SELECT id FROM sync_runs")
    for command in ("show", "cancel"):
        assert in_bash(run, "runs", command, str(run_id)[:4]) == [run_id]


@pytest.mark.parametrize(
    "name",
    ["$(touch x)", "`touch x`", "\\$(touch x)", "a'b", 'a"b', "a;b", "a\nb", "a\x1b[2J", "a|b", "a\\b"],
)
def test_a_name_that_a_shell_could_execute_is_not_offered(inbox: MakeInbox, run: Run, name: str) -> None:
    source = inbox("--conversations", "5")
    source.change("UPDATE facebook_pages SET name = ?", name)
    assert in_bash(run, "sync", "") == [source.page_id]
    assert in_bash(run, "sync", "a") == []
    for shell in ("zsh", "fish"):
        offered = in_another(run, shell, "sync ")
        assert source.page_id in offered
        assert name not in offered


def test_a_name_that_two_pages_have_is_not_offered(inbox: MakeInbox, run: Run) -> None:
    source = inbox("--conversations", "5", "--pages", "2")
    source.change("UPDATE facebook_pages SET name = 'Shop'")
    assert in_bash(run, "sync", "Sh") == []
    assert len(in_bash(run, "sync", "")) == 2


def test_nothing_is_offered_created_or_complained_of_where_there_is_no_database(
    run: Run, tmp_path: Path, environment: dict[str, str]
) -> None:
    assert in_bash(run, "sync", "1") == []
    assert in_bash(run, "sync", "1", INBOXSYNC_GRAPH_VERSION="wrong") == []
    assert in_bash(run, "sync", "1", INBOXSYNC_DATABASE_URL=f"sqlite:///{tmp_path}/none.db") == []
    assert in_bash(run, "sync", "1", INBOXSYNC_DATABASE_URL="postgresql://x@127.0.0.1:1/none") == []
    assert not Path(environment["INBOXSYNC_DATA_DIR"]).exists()
    assert list(tmp_path.glob("*.db")) == []


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no Bash here")
def test_the_installed_completion_works_in_a_real_bash(environment: dict[str, str], tmp_path: Path) -> None:
    script = """
        inboxsync --install-completion >installed; . ~/.bashrc
        complete -p inboxsync
        COMP_WORDS=(inboxsync ver); COMP_CWORD=1; _inboxsync_completion inboxsync; echo "${COMPREPLY[@]}"
    """
    path = f"{INBOXSYNC.parent}:{environment['PATH']}"
    ended = subprocess.run(
        ["bash", "--norc", "-c", script],
        env=environment | {"HOME": str(tmp_path), "PATH": path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert ended.stderr == ""
    assert ended.stdout.splitlines()[-1] == "verify"
    assert "bash completion installed" in (tmp_path / "installed").read_text()

"""`inboxsync sandbox` and what it cannot read."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.system


@pytest.mark.parametrize(
    ("switches", "said"),
    [
        (["--folder", "spam"], "--folder 'spam' has no number"),
        (["--folder", "inbox=4"], "The inbox is what --conversations fills"),
        ([f"--folder=f{number}=1" for number in range(6)], "There is room for 5 folders"),
        (["--unknown-folders", "perhaps"], "--unknown-folders is one of empty, refuse, ignore"),
        (["--unreadable-messages", "some"], "--unreadable-messages is one of bare, refuse, omit"),
        (["--fault", "poison_slots=0,x"], "has no number"),
        (["--fault", "reset=7"], "--fault 'reset=7' is no share of the calls"),
        (["--fault", "earthquake=1"], "There is no fault 'earthquake'"),
    ],
)
def test_a_switch_that_cannot_be_read_is_one_sentence(switches: list[str], said: str) -> None:
    command = [sys.executable, "-m", "inboxsync", "sandbox", *switches]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 2
    assert said in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr

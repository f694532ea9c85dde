"""`inboxsync sandbox` and what it cannot read."""

import os
import re
from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

import pytest

from inboxsync.cli.sandbox import Switches, config_of
from inboxsync.sandbox import Faults, SandboxConfig
from tests.processes import ForkServer

# A value of each setting that is not its default.
CHANGED = {
    "conversations": 7,
    "unknown_folders": "refuse",
    "pages": 2,
    "seed": 5,
    "limits": False,
    "rate_code": 80006,
    "pace": "rolling",
    "penalty_seconds": 1.5,
    "engaged_users": 50,
    "calls_a_day": 25,
    "day_seconds": 60.0,
    "regain_minutes": 7,
    "app_usage_percent": 100,
    "latency_seconds": 0.25,
    "largest_limit": 100,
    "cursors": "index",
    "cursors_die_with_token": True,
    "gzip": False,
    "time_windows": True,
    "legacy": True,
    "sticker_attachments": 1.0,
    "standard_access": True,
    "high_volume": True,
    "require_proof": True,
    "token_days": 3,
    "unreadable_messages": "omit",
    "write_every": 10,
    "write_people": 3,
    "write_burst": 2,
    "newest_at": 1_790_000_000,
    "write_new_every": 20,
}


def test_set_changes_every_setting_that_is_one_value() -> None:
    changed = config_of(Switches(set=[f"{name}={value}" for name, value in CHANGED.items()]))
    assert {name: getattr(changed, name) for name in CHANGED} == CHANGED
    composed = {"folders", "messages", "dataset", "faults"}
    assert {each.name for each in fields(SandboxConfig)} == {*CHANGED, *composed}
    assert not any(getattr(SandboxConfig(), name) == value for name, value in CHANGED.items())


def test_without_switches_the_sandbox_has_its_own_defaults() -> None:
    assert config_of(Switches()) == SandboxConfig()


def test_a_fault_is_read_as_its_type_says() -> None:
    faults = config_of(
        Switches(fault=["reset=0.5", "poison_slots=0,5", "endless=1", "weight_limit=500"])
    ).faults
    assert faults == Faults(reset=0.5, poison_slots=(0, 5), endless=True, weight_limit=500)


def test_the_docs_name_every_setting() -> None:
    page = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text(encoding="utf-8")
    assert [each.name for each in fields(SandboxConfig) if f"`{each.name}`" not in page] == []


def test_the_help_and_the_docs_name_every_fault() -> None:
    page = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text(encoding="utf-8")
    fault_help = get_type_hints(Switches, include_extras=True)["fault"].__metadata__[0].help
    for each in fields(Faults):
        assert f"`{each.name}`" in page
        assert re.search(rf"\b{each.name}\b", fault_help), each.name


@pytest.mark.system
@pytest.mark.parametrize(
    ("switches", "said"),
    [
        (["--folder", "spam"], "--folder 'spam' has no number"),
        (["--folder", "inbox=4"], "The inbox is what --conversations fills"),
        ([f"--folder=f{number}=1" for number in range(6)], "There is room for 5 folders"),
        (
            ["--unknown-folders", "perhaps"],
            "--unknown-folders perhaps: expected one of empty, refuse, ignore.",
        ),
        (
            ["--unreadable-messages", "some"],
            "--unreadable-messages some: expected one of bare, refuse, omit.",
        ),
        (["--fault", "poison_slots=0,x"], "--fault 'poison_slots=0,x': expected a whole number."),
        (["--fault", "reset=7"], "--fault 'reset=7': expected a number <= 1.0."),
        (["--fault", "earthquake=1"], "There is no fault 'earthquake'"),
        (["--pages", "0"], "--pages 0: expected a whole number >= 1."),
        (["--latency", "nan"], "--latency nan: expected a number >= 0.0."),
        (["--set", "rate_code=5"], "--set 'rate_code=5': expected one of 613, 80006."),
        (["--set", "gzip=perhaps"], "--set 'gzip=perhaps': expected true or false."),
        (["--set", "write_every"], "--set 'write_every': expected a whole number."),
        (["--set", "folders=1"], "There is no setting 'folders'"),
    ],
)
def test_a_switch_that_cannot_be_read_is_one_sentence(
    forks: ForkServer, switches: list[str], said: str
) -> None:
    ended = forks.run("sandbox", *switches, environment=os.environ)
    assert ended.returncode == 2
    assert said in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr

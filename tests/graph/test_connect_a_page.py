"""docs/connect-a-page.md says of each error what the code makes of it."""

import re
from pathlib import Path

from inboxsync import errors
from inboxsync.graph.errors import Fault, Treatment, rule_for
from inboxsync.model import TokenReason

PAGE = Path(__file__).parents[2] / "docs" / "connect-a-page.md"
# Of runs, not of calls (docs/commands.md).
OF_RUNS = {"token_ends_soon", "nothing_listed"}
_, _, TABLE = PAGE.read_text(encoding="utf-8").partition("| --- | --- | --- | --- |\n")
# Our words, and Meta's numbers.
ROWS = [(line.split("|")[1], line.split("|")[2]) for line in TABLE.splitlines() if line.startswith("|")]


def codes() -> set[str]:
    classes = (each for each in vars(errors).values() if isinstance(each, type))
    return {each.code for each in classes if issubclass(each, errors.InboxsyncError)}


def test_every_code_is_one_of_ours() -> None:
    assert len(ROWS) > 20
    for row, _ in ROWS:
        words = set(re.findall(r"\w+", row))
        assert words <= codes() | OF_RUNS | set(TokenReason), row
        assert words & (codes() | OF_RUNS), row


def test_every_reason_for_a_person_is_explained() -> None:
    text = " ".join(row for row, _ in ROWS)
    for reason in TokenReason:
        assert f", {reason}`" in text or f", `{reason}`" in text, reason


def test_each_number_of_metas_becomes_the_error_it_stands_beside() -> None:
    checked = 0
    for row, numbers in ROWS:
        code, reason, *_ = [*re.findall(r"\w+", row), ""]
        for number, subcode in re.findall(r"(-?\d+)/(\d+)", numbers):
            rule = rule_for(Fault(message="no", code=int(number), subcode=int(subcode), status=400))
            assert rule.treatment is Treatment.PERSON
            assert (rule.error.code, rule.reason) == (code, reason), (number, subcode)
            checked += 1
    assert checked >= 14

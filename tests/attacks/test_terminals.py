"""Names that people give themselves are printed, but print no lines of their own and move nothing."""

import pytest

from tests.attacks.fixtures import HARMFUL, OpenSite
from tests.cli.fixtures import Run

FORGED = "Complete: everything is stored"
NAME = f"A shop\n{FORGED}\u2028{FORGED}\r{FORGED}" + "".join(HARMFUL)


def is_harmless(printed: str) -> bool:
    return not (set(printed) & set(HARMFUL)) and not any(
        line.startswith(FORGED) for line in printed.splitlines()
    )


@pytest.mark.parametrize(
    "command",
    [
        ("pages", "list"),
        ("pages", "show", "104"),
        ("pages", "set", "104", "--every", "5m"),
        ("search", "hello"),
        ("report", "response-times"),
        ("verify", "104"),
        ("sync", "104", "--enqueue"),
        ("sync", "104"),
    ],
)
def test_a_name_forges_no_line_in_the_output_of_a_command(
    site: OpenSite, run: Run, command: tuple[str, ...]
) -> None:
    opened = site()
    opened.write(opened.page(name=NAME), NAME.replace("A shop", "hello"), contact=NAME)
    ended = run(*command)
    assert is_harmless(ended.stdout), ended.stdout
    assert is_harmless(ended.stderr), ended.stderr


@pytest.mark.parametrize("command", [("pages", "list", "--json"), ("search", "hello", "--json")])
def test_json_for_a_terminal_escapes_what_moves_text(
    site: OpenSite, run: Run, command: tuple[str, ...]
) -> None:
    opened = site()
    opened.write(opened.page(name=NAME), "hello", contact=NAME)
    printed = run(*command).stdout
    assert len(printed.splitlines()) == 1
    assert is_harmless(printed)

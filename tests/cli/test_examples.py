"""Each help ends with an example that can be typed."""

import shlex
from collections.abc import Iterator

import pytest
import typer

from inboxsync.cli.app import app
from inboxsync.cli.examples import EXAMPLES
from tests.cli.fixtures import Run

COLUMNS = 80


def commands_of(group: typer.Typer, *words: str) -> Iterator[str]:
    """The words of the group, and of all commands and groups in it."""
    yield " ".join(words)
    for command in group.registered_commands:
        yield " ".join((*words, command.name or (command.callback.__name__ if command.callback else "")))
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        yield from commands_of(inner.typer_instance, *words, str(inner.name))


def test_each_command_has_an_example_of_its_own() -> None:
    assert set(EXAMPLES) == set(commands_of(app))
    for words, example in EXAMPLES.items():
        assert example.startswith(f"inboxsync {words}".strip())


@pytest.mark.parametrize("words", EXAMPLES)
def test_each_help_ends_with_its_example_on_one_line(run: Run, words: str) -> None:
    shown = run(*words.split(), "--help", COLUMNS=str(COLUMNS)).stdout
    assert shown.rstrip().splitlines()[-1].strip() == f"Example: {EXAMPLES[words]}"


@pytest.mark.parametrize("words", EXAMPLES)
def test_each_example_is_understood(words: str) -> None:
    typed = shlex.split(EXAMPLES[words].partition(" < ")[0])[1:]
    command, name = typer.main.get_command(app), "inboxsync"
    context = command.make_context(name, typed)
    while rest := [*getattr(context, "_protected_args", ()), *context.args]:
        found, inner, typed = command.resolve_command(context, rest)  # type: ignore[attr-defined]
        assert inner is not None, f"{name} has no {rest[0]}"
        command, name = inner, found or ""
        context = command.make_context(name, typed, parent=context)

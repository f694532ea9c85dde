"""How commands answer: the result on stdout, everything else on stderr, and an exit code for scripts."""

import os
import re
import shutil
import sys
from collections.abc import Iterable
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, Final, TextIO

import msgspec
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from inboxsync.errors import (
    ApiKeyNameTaken,
    ApiKeyUnknown,
    InboxsyncError,
    NeedsPerson,
    PageAmbiguous,
    PageUnknown,
    RunUnknown,
    SearchInvalid,
    SettingsInvalid,
)
from inboxsync.model import Page
from inboxsync.workers import EVERY_SECONDS

# Exit codes are stable.
COMPLETE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
PARTIAL: Final = 3
NEEDS_PERSON: Final = 4

_USAGE_ERRORS = (
    SettingsInvalid,
    PageUnknown,
    PageAmbiguous,
    RunUnknown,
    SearchInvalid,
    ApiKeyNameTaken,
    ApiKeyUnknown,
)
_WIDTH_OF_A_PIPE = 200
# Control characters, also those of 8 bits, clear a terminal, rename it, or fill its clipboard. The others end
# a line, or change the order in which a line is shown.
_LINE_ENDS: Final = "\n\u2028\u2029"
_DIRECTIONS: Final = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_CONTROL: Final = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029{_DIRECTIONS}]")
_IN_LOGS: Final = re.compile(f"[\x00-\x1f\x7f-\x9f\u2028\u2029{_DIRECTIONS}]")
# Those that JSON does not escape.
_UNESCAPED: Final = re.compile(f"[\x7f-\x9f\u2028\u2029{_DIRECTIONS}]")
_LINE_END: Final = re.compile(f"[{_LINE_ENDS}]")
_REPLACEMENT: Final = "\ufffd"


def exit_code(error: InboxsyncError) -> int:
    """The code for an error that ended a command."""
    if isinstance(error, NeedsPerson):
        return NEEDS_PERSON
    return USAGE if isinstance(error, _USAGE_ERRORS) else FAILED


def one_line(text: str) -> str:
    """A text that cannot end the line it is printed in."""
    return _LINE_END.sub(_REPLACEMENT, text)


def escaped(text: str) -> str:
    """A text for a log: each character that controls a terminal or forges a line as Python writes it."""
    return _IN_LOGS.sub(lambda found: ascii(found[0])[1:-1], text)


class SafeConsole(Console):
    """A terminal that names and messages cannot control: their control characters are replaced.

    A printed text is one line, whatever is in it.
    """

    def print(self, *objects: Any, **options: Any) -> None:  # noqa: ANN401 - as the base
        """As the base, but no text ends its line."""
        super().print(*map(_in_one_line, objects), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As the base. Our own colours and cursor movements are not text at this point, so they stay."""
        for segment in super().render(renderable, options):
            if segment.control or not _CONTROL.search(segment.text):
                yield segment
            else:
                yield Segment(_CONTROL.sub(_REPLACEMENT, segment.text), segment.style)


def _in_one_line(printed: object) -> object:
    if isinstance(printed, str):
        return one_line(printed)
    if isinstance(printed, Text):
        printed = printed.copy()
        printed.plain = one_line(printed.plain)
    return printed


def stdout() -> Console:
    """For the result of the command."""
    # A pipe has no width: what a script reads is never cut to fit one.
    width = None if sys.stdout.isatty() else _WIDTH_OF_A_PIPE
    return _console(sys.stdout, width)


def stderr() -> Console:
    """For everything that is not the result."""
    return _console(sys.stderr, None)


def _console(file: TextIO, width: int | None) -> Console:
    # What is printed contains names from outside: nothing in it is markup, and `:smile:` is no emoji.
    return SafeConsole(
        file=file, width=width, highlight=False, soft_wrap=not file.isatty(), markup=False, emoji=False
    )


def table(*columns: str) -> Table:
    """An empty table with these columns; only the first one may be wrapped."""
    # As narrow as possible: at 80 columns a Page's id fits.
    made = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    made.add_column(columns[0], overflow="fold")
    for column in columns[1:]:
        made.add_column(column, no_wrap=True)
    return made


def print_json(value: object) -> None:
    """One line of JSON on stdout, with every control character escaped."""
    text = msgspec.json.encode(value).decode()
    typer.echo(_UNESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def print_error(error: InboxsyncError) -> None:
    """One sentence, and the next thing to do. Only settings have several problems, one a line."""
    lines = error.message.split("\n") if isinstance(error, SettingsInvalid) else [error.message]
    _print_problem(lines, error.hint)


def print_problem(message: str, hint: str) -> None:
    """Print on stderr what is wrong and what to do."""
    _print_problem([message], hint)


def _print_problem(lines: list[str], hint: str) -> None:
    console = stderr()
    console.print("inboxsync:", lines[0], style="red")
    for line in lines[1:]:
        console.print(line, style="red")
    if hint:
        console.print("  ", hint, sep="")


def print_command(console: Console, text: str) -> None:
    """A line to be copied, so without line breaks of ours."""
    console.print(f"  {text}", soft_wrap=True)


def own_command() -> str:
    """How the reader can call this command again: by its name, or by the path it was called with."""
    called = Path(sys.argv[0])
    if called.name != "inboxsync" or shutil.which("inboxsync"):
        return "inboxsync"
    return os.path.relpath(called)


def page_name(page: Page) -> str:
    """What people call a Page, on one line."""
    return one_line(page.name or page.facebook_page_id)


def local(at: datetime | None, zone: tzinfo) -> str:
    """A time in this zone; `never` for None."""
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M}" if at is not None else "never"


def duration(seconds: int | None) -> str:
    """`90 s`, `5 min`, `2 h`, `1 d`; None: the default interval."""
    seconds = seconds or EVERY_SECONDS
    for name, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds % length == 0:
            return f"{seconds // length} {name}"
    return f"{seconds} s"


def some(count: int, what: str) -> str:
    """`1 conversation`, `2 conversations`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"

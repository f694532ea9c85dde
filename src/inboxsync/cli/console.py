"""A terminal that no stranger's text drives: names and messages may hold escape sequences."""

import re
from collections.abc import Iterable
from typing import Final

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

# All but tab and line feed, those of 8 bits too: they clear a terminal, rename it, fill its clipboard.
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# These of the 7-bit ones JSON escapes by itself.
_UNESCAPED: Final = re.compile("[\x7f-\x9f]")
_REPLACEMENT: Final = "\ufffd"


class SafeConsole(Console):
    """Prints as the base; control characters in what is printed stand as a replacement character."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As the base. Colours and cursors of our own are no text by then, and stay."""
        for segment in super().render(renderable, options):
            if segment.control or not _CONTROL.search(segment.text):
                yield segment
            else:
                yield Segment(_CONTROL.sub(_REPLACEMENT, segment.text), segment.style)


def safe_json(text: str) -> str:
    """The same JSON, with every control character escaped."""
    return _UNESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)

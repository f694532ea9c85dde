"""Versions of the API in a path (graph-facts 1.1)."""

import re

_VERSION = re.compile(r"v(\d+)\.(\d+)")
_OLDEST = (21, 0)
NEWEST = (26, 0)


def split_version(path: str) -> tuple[str, str, str]:
    """(the version served, the path's own prefix, the rest).

    A call without a version gets the newest; a call to an expired version is served by the oldest
    usable one without an error, and a call to a future version by the newest.
    """
    head, _, rest = path.lstrip("/").partition("/")
    match = _VERSION.fullmatch(head)
    if match is None:
        return _text(NEWEST), "", path.lstrip("/")
    asked = int(match[1]), int(match[2])
    return _text(min(max(asked, _OLDEST), NEWEST)), head, rest


def _text(version: tuple[int, int]) -> str:
    return f"v{version[0]}.{version[1]}"

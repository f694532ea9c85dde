"""Versions of the API in a path (graph-facts 1.1)."""

import re

Version = tuple[int, int]

_VERSION = re.compile(r"v(\d+)\.(\d+)")
_OLDEST = (21, 0)
NEWEST = (27, 0)
# The oldest one that may know `updated_after_ms` (graph-facts 1.3-10).
HAS_TIME_WINDOWS = (26, 0)


def split_version(path: str) -> tuple[Version, str, str]:
    """(the version served, the path's own prefix, the rest).

    A call without a version gets the newest; a call to an expired version is served by the oldest
    usable one without an error, and a call to a future version by the newest.
    """
    head, _, rest = path.lstrip("/").partition("/")
    match = _VERSION.fullmatch(head)
    if match is None:
        return NEWEST, "", path.lstrip("/")
    asked = int(match[1]), int(match[2])
    return min(max(asked, _OLDEST), NEWEST), head, rest


def version_text(version: Version) -> str:
    """`v26.0`."""
    return f"v{version[0]}.{version[1]}"

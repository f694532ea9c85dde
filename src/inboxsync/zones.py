"""In which time zone times are told: a named one, or the one that this machine really uses.

The machine's is found as the C library finds it (tzset(3)), so our times are those of `date` in the same
shell: `TZ` with a name, a path or a POSIX rule, else the content of `/etc/localtime`.
"""

import os
import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache, lru_cache
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Final
from zoneinfo import TZPATH, ZoneInfo, ZoneInfoNotFoundError

_LOCAL_FILE: Final = Path("/etc/localtime")
_NAME_FILE: Final = Path("/etc/timezone")
_LARGEST_FILE: Final = 1 << 20
_NAMES_OF_UTC: Final = frozenset(
    f"{area}{name}" for area in ("", "Etc/") for name in ("UTC", "UCT", "Universal", "Zulu")
)
# A POSIX rule that names its daylight saving time, but not when it begins and ends.
_WITHOUT_DATES: Final = re.compile(r"(<[^>]+>|[A-Za-z]+)[-+]?[\d:]+(<[^>]+>|[A-Za-z]+)([-+]?[\d:]+)?")
# What the C library takes then.
_USUAL_DATES: Final = ",M3.2.0,M11.1.0"
_TZIF_HEADER: Final = struct.Struct(">4sc15x6l")
# The months in which two zones are compared; the time zone database promises its zones from 1970 on.
_MONTHS: Final = tuple(datetime(year, month, 1) for year in range(1970, 2038) for month in range(1, 13))  # noqa: DTZ001 - local times
# Of these months the rules of a name and of its file agree, though one is some releases older.
_SAME_SHARE: Final = 0.8


def named_zone(name: str) -> tzinfo | None:
    """The time zone of this name; None if there is none."""
    if name in _NAMES_OF_UTC:
        return UTC  # needs no time zone data
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def machine_zone() -> tzinfo:
    """The machine's time zone, which `str` names; UTC where the C library takes UTC."""
    told = os.environ.get("TZ")
    path = _LOCAL_FILE if told is None else Path(told.removeprefix(":"))
    return _zone_of(told, os.environ.get("TZDIR"), _state_of(path) if path.is_absolute() else None)


def _state_of(path: Path) -> tuple[int, ...] | None:
    """Changes with the file, so a service follows a machine that is moved."""
    try:
        state = path.stat()
    except (OSError, ValueError):
        return None
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns


@lru_cache(maxsize=8)
def _zone_of(told: str | None, folder: str | None, _state: tuple[int, ...] | None) -> tzinfo:
    if told is None:
        return _file_zone(_LOCAL_FILE) or UTC
    told = told.removeprefix(":")
    if not told:
        return UTC
    if told.startswith("/"):
        return _file_zone(Path(told)) or UTC
    in_folder = _file_zone(Path(folder, told)) if folder else None
    return in_folder or named_zone(told) or _rule_zone(told) or UTC


def _file_zone(path: Path) -> tzinfo | None:
    """The zone of a file of the time zone database, wherever it was copied or mounted."""
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE)
    except (OSError, ValueError):
        return None
    return _with_name(content, tuple(_names_for(path)))


def _rule_zone(rule: str) -> tzinfo | None:
    """The zone of a POSIX rule such as `CET-1CEST,M3.5.0,M10.5.0/3` or `<+07>-7`."""
    if not rule.isascii() or not rule.isprintable():
        return None
    if _WITHOUT_DATES.fullmatch(rule):
        rule += _USUAL_DATES
    # A file of the time zone database that has nothing but this rule.
    first = _TZIF_HEADER.pack(b"TZif", b"2", 0, 0, 0, 0, 0, 0)
    second = _TZIF_HEADER.pack(b"TZif", b"2", 0, 0, 0, 0, 1, 4) + struct.pack(">lBB4s", 0, 0, 0, b"UTC")
    return _with_name(first + second + f"\n{rule}\n".encode(), ())


def _with_name(content: bytes, names: tuple[str, ...]) -> tzinfo | None:
    """The zone of a file's content, under the first of `names` that is true of it."""
    if (zone := _read(content)) is None:
        return None
    offsets = _offsets(zone)
    if not any(offsets):
        return UTC
    known = next((name for name in names if _share(offsets, _published(name)) >= _SAME_SHARE), None)
    if known is None and names:
        known = _found(content, offsets)
    return _read(content, name=known or _name_by_offset(offsets))


def _found(content: bytes, offsets: tuple[timedelta, ...]) -> str | None:
    """The name of a zone file that has none: of the same file, else of a zone with the same hours."""
    alike = [name for name in _places() if _published(name) == offsets]
    folders = [Path(folder) for folder in TZPATH]
    return next((name for name in alike if _is_same(content, name, folders)), alike[0] if alike else None)


def _is_same(content: bytes, name: str, folders: list[Path]) -> bool:
    for folder in (*folders, files("tzdata").joinpath("zoneinfo")):
        with suppress(OSError):
            if folder.joinpath(*name.split("/")).read_bytes() == content:
                return True
    return False


def _read(content: bytes, name: str | None = None) -> ZoneInfo | None:
    try:
        return ZoneInfo.from_file(BytesIO(content), key=name)
    except (ValueError, EOFError, IndexError, struct.error):
        return None


def _names_for(path: Path) -> Iterator[str]:
    """What a file's path says, and what the system says of its own; any of it may be wrong.

    A file that is mounted over the link `/etc/localtime` lies where the link leads, under a foreign name.
    """
    for each in (path, path.resolve()):
        if name := str(each).partition("zoneinfo/")[2].removeprefix("posix/"):
            yield name
    if path == _LOCAL_FILE:
        with suppress(OSError, ValueError):
            yield _NAME_FILE.read_text(encoding="utf-8").strip()
    yield ""  # a file always has a name to be looked for


def _published(name: str) -> tuple[timedelta, ...]:
    """What the time zone database says of a name, whatever lies under it on this machine."""
    if not name or any(part in ("", ".", "..") for part in name.split("/")):
        return ()
    try:
        content = files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()
    except (OSError, ValueError):
        return ()
    zone = _read(content)
    return _offsets(zone) if zone is not None else ()


@cache
def _places() -> tuple[str, ...]:
    """All names that differ from each other since 1970."""
    lines = files("tzdata").joinpath("zoneinfo", "zone1970.tab").read_text(encoding="utf-8").splitlines()
    return tuple(line.split("\t")[2] for line in lines if not line.startswith("#"))


def _offsets(zone: tzinfo) -> tuple[timedelta, ...]:
    return tuple(zone.utcoffset(month) or timedelta() for month in _MONTHS)


def _share(one: tuple[timedelta, ...], other: tuple[timedelta, ...]) -> float:
    """How much of the months is alike; 0 if one is unknown."""
    return sum(a == b for a, b in zip(one, other, strict=False)) / len(_MONTHS)


def _name_by_offset(offsets: tuple[timedelta, ...]) -> str:
    """`UTC+07:00`, or `UTC+01:00/+02:00` with daylight saving time."""
    return "UTC" + "/".join(_signed(each) for each in sorted(set(offsets[-12:])))


def _signed(offset: timedelta) -> str:
    minutes = round(offset.total_seconds() / 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"

"""How to know whether an exported file is complete.

A file has a manifest beside it, `FILE.manifest.json`, written last. Streamed NDJSON, which has no second
file, ends with a line that says the same: its only key is `inboxsync_export`.
"""

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from inboxsync.errors import FileIncomplete, OutputFailed

TRAILER_KEY: Final = "inboxsync_export"
_CHUNK: Final = 1 << 20
# Every trailer is shorter than this, even if it names many Pages.
_LONGEST_TRAILER: Final = 1 << 20


class ManifestPage(msgspec.Struct, frozen=True, kw_only=True):
    """A Page that was exported."""

    page_id: str
    platform: str
    name: str | None


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A completed export: `bytes` and `sha256` cover all of it except the trailer itself.

    `exported_at` is when it began: it shows the state of the database at that time. `zone` is the time zone
    of the times in the file; those of the manifest itself are in UTC. `cut_cells` counts texts
    that were too long for Excel. `details_current` (contacts only): whether every message had been searched
    for phone numbers and e-mail addresses.
    """

    what: str
    format: str
    rows: int
    bytes: int
    sha256: str
    columns: list[str]
    pages: list[ManifestPage]
    since: datetime | None
    exported_at: datetime
    zone: str = "UTC"
    cut_cells: int = 0
    inboxsync: str = ""
    details_current: bool | None = None


_decode = msgspec.json.Decoder(Manifest).decode


def manifest_path(path: Path) -> Path:
    """The path of a file's manifest."""
    return path.with_name(f"{path.name}.manifest.json")


def as_file(manifest: Manifest) -> bytes:
    """The manifest as the file beside the export."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def as_trailer(manifest: Manifest) -> bytes:
    """The manifest as the last line of NDJSON."""
    return msgspec.json.encode({TRAILER_KEY: manifest}) + b"\n"


def check_file(path: Path) -> Manifest:
    """Compare a file with its manifest, or with its trailer if it has no manifest.

    Raises FileIncomplete if it is not what was exported, OutputFailed if it cannot be read.
    """
    try:
        # An export through a link writes both where the link leads.
        beside = (manifest_path(path), manifest_path(path.resolve()))
        if found := next((each for each in beside if each.is_file()), None):
            manifest, trailer = _read_manifest(found), b""
        else:
            manifest, trailer = _read_trailer(path)
        size = path.stat().st_size - len(trailer)
        digest = _digest(path, size)
    except OSError as error:
        raise OutputFailed(f"{path} cannot be read: {error.strerror}.", hint="Correct its path.") from error
    if (size, digest) != (manifest.bytes, manifest.sha256):
        raise FileIncomplete(
            f"{path} is not complete: {manifest.bytes:,} bytes were exported, it has {size:,}."
            if size != manifest.bytes
            else f"{path} was changed after the export."
        )
    return manifest


def _read_manifest(path: Path) -> Manifest:
    try:
        return _decode(path.read_bytes())
    except msgspec.DecodeError:
        raise FileIncomplete(f"{path} is not a manifest of an export.") from None


def _read_trailer(path: Path) -> tuple[Manifest, bytes]:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _LONGEST_TRAILER))
        end = file.read()
    line = end[end.rfind(b"\n", 0, -1) + 1 :]
    try:
        found: Any = msgspec.json.decode(line, type=dict[str, Manifest]) if line.endswith(b"\n") else {}
    except msgspec.DecodeError:
        found = {}
    if set(found) != {TRAILER_KEY}:
        raise FileIncomplete(
            f"{path} has neither a manifest beside it nor a trailer: it was cut, or never completed."
        )
    return found[TRAILER_KEY], line


def _digest(path: Path, size: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while size > 0 and (chunk := file.read(min(_CHUNK, size))):
            digest.update(chunk)
            size -= len(chunk)
    return digest.hexdigest()

"""Writes folders that are complete, or not there, with a manifest of their files."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from hashlib import file_digest
from pathlib import Path
from tempfile import mkdtemp
from typing import BinaryIO, Final

import msgspec

from inboxsync.errors import FileIncomplete, OutputFailed

_MANIFEST: Final = "manifest.json"


class WrittenFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the folder."""

    name: str
    bytes: int
    sha256: str


class FolderManifest(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of an exported folder."""

    what: str
    page_id: str
    platform: str
    conversations: int
    exported_at: datetime
    files: list[WrittenFile]


class NewFolder:
    """A folder that is being filled."""

    def __init__(self, path: Path) -> None:
        self.written: list[WrittenFile] = []
        self._path = path

    @contextmanager
    def opened(self, name: str) -> Iterator[BinaryIO]:
        """A new file of this name, written by the end of the context."""
        path = self._path / name
        with _new_file(path) as file:
            yield file
        self.written.append(_described(path))

    def close(self, manifest: FolderManifest) -> None:
        """Write the manifest, last."""
        text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
        with _new_file(self._path / _MANIFEST) as file:
            file.write(text + b"\n")


def _new_file(path: Path) -> BinaryIO:
    """Readable by its owner alone: a folder may be moved, or opened for others later."""
    return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb")


@contextmanager
def atomic_folder(path: Path) -> Iterator[NewFolder]:
    """A folder that gets its name when the context ends without an error, and else is removed.

    Only its owner may open it. Raises OutputFailed, also if the name is taken.
    """
    try:
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise OutputFailed(f"{path} exists already.", hint="Name a new folder, or remove that one first.")
        temporary = Path(mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
        try:
            yield NewFolder(temporary)
            temporary.replace(path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    except OSError as error:
        raise OutputFailed(f"{path} cannot be written: {error.strerror}.") from error


def check_folder(path: Path) -> FolderManifest:
    """Compare a folder with its manifest.

    Raises FileIncomplete if a file is missing or changed, OutputFailed if one cannot be read.
    """
    try:
        manifest = msgspec.json.decode((path / _MANIFEST).read_bytes(), type=FolderManifest)
        broken = [file.name for file in manifest.files if not _is_there(path, file)]
    except (FileNotFoundError, msgspec.DecodeError):
        raise FileIncomplete(
            f"{path} has no manifest of an export: it was cut, or never completed."
        ) from None
    except OSError as error:
        raise OutputFailed(f"{path} cannot be read: {error.strerror}.") from error
    if broken:
        raise FileIncomplete(
            f"{path} is not complete: {broken[0]} is missing, cut or changed ({len(broken)} in all)."
        )
    return manifest


def _is_there(folder: Path, file: WrittenFile) -> bool:
    path = folder / file.name
    return path.parent == folder and path.is_file() and _described(path) == file


def _described(path: Path) -> WrittenFile:
    with path.open("rb") as file:
        return WrittenFile(
            name=path.name, bytes=path.stat().st_size, sha256=file_digest(file, "sha256").hexdigest()
        )

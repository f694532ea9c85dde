"""Writes files that are complete, or not there."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkstemp
from typing import BinaryIO

from inboxsync.errors import OutputFailed
from inboxsync.reports.export import Export, OnProgress
from inboxsync.reports.manifest import Manifest, as_file, manifest_path


def write_export(export: Export, path: Path, on_progress: OnProgress | None = None) -> Manifest:
    """Write an export and its manifest; interrupted anywhere, it leaves neither.

    Only the owner of the file may read it: it contains what customers wrote. Raises OutputFailed.
    """
    path = path.resolve()
    with atomic_file(path) as file:
        for chunk in export.chunks(on_progress):
            file.write(chunk)
        # An older file's manifest must not stand beside this file if the process is killed now.
        manifest_path(path).unlink(missing_ok=True)
    if export.manifest is None:
        raise AssertionError("the chunks ended without a manifest")
    write_atomically(manifest_path(path), [as_file(export.manifest)])
    return export.manifest


def write_atomically(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a file, completely or not at all."""
    with atomic_file(path) as file:
        for chunk in chunks:
            file.write(chunk)


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A file that gets its name when the context ends without an error, and else is removed."""
    if path.exists() and not path.is_file():
        raise OutputFailed(
            f"{path} is not a file.", hint="Name a file with -o, or leave -o out to write to stdout."
        )
    try:
        number, name = mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    except OSError as error:
        raise _failed(path, error) from error
    temporary = Path(name)
    try:
        with os.fdopen(number, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise _failed(path, error) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _failed(path: Path, error: OSError) -> OutputFailed:
    return OutputFailed(f"{path} cannot be written: {error.strerror}.")

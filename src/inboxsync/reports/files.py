"""Writes files that are whole or not there."""

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

    Its owner alone may read it: it holds what customers wrote. Raises OutputFailed.
    """
    path = path.resolve()
    with whole_file(path) as file:
        for chunk in export.chunks(on_progress):
            file.write(chunk)
        # The one of an older file must not vouch for this one, should we be killed in between.
        manifest_path(path).unlink(missing_ok=True)
    if export.manifest is None:
        raise AssertionError("chunks came to an end without a manifest")
    write_whole(manifest_path(path), [as_file(export.manifest)])
    return export.manifest


def write_whole(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a file."""
    with whole_file(path) as file:
        for chunk in chunks:
            file.write(chunk)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that gets its name when the context ends well, and is removed when it does not."""
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

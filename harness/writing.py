"""Files that are there whole, or as they were: written beside, then renamed."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from harness.errors import RunDirectoryError


def write_text(path: Path, text: str) -> None:
    """Write beside ``path``, then rename: a reader sees the old file or the new one, whole."""
    with _replacing(path) as beside:
        beside.write_text(text, "utf-8", newline="\n")


def write_bytes(path: Path, content: bytes) -> None:
    """The same for bytes."""
    with _replacing(path) as beside:
        beside.write_bytes(content)


def write_parquet(path: Path, frame: pl.DataFrame) -> None:
    """The same for a table. Raises OSError, which Polars' own writer does not on a full disk."""
    content = io.BytesIO()
    frame.write_parquet(content)
    with _replacing(path) as beside:
        beside.write_bytes(content.getbuffer())


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to; it takes its place when that succeeded, else it goes."""
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if os.path.exists(path) and not os.path.isfile(path):
        yield path  # a pipe or a device is written to: in its place a file would be in the way
        return
    path = Path(os.path.realpath(path))  # a link stays a link
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield beside
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def unwritable(directory: Path, error: OSError) -> RunDirectoryError:
    """``error`` as what it means to a user."""
    return RunDirectoryError(
        f"{directory} cannot be written: {error.strerror or error}",
        remedy="Make room or permit writing there, or give another place with --out DIR.",
    )

"""The files of an audit: found, and read as text where they are text."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.audit.finding import Unread
from harness.errors import UsageError

MAX_BYTES = 1_000_000
"""Configuration written by people is smaller; what is larger is data."""

PASSED_OVER = frozenset(
    {
        ".git",
        ".hg",
        ".venv",
        "venv",
        "node_modules",
        "__pycache__",
        ".tox",
        ".mypy_cache",
        "site-packages",
    }
)
"""Folders that hold no configuration of the project's own."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file's text; ``name`` is its path as the user would write it."""

    path: Path
    name: str
    text: str


def find(paths: Iterable[Path]) -> Iterator[Path]:
    """Every file below ``paths``, in a stable order; a link to a folder is not followed.

    Raises `UsageError` for a path that does not exist.
    """
    for path in paths:
        if path.is_file():
            yield path
        elif path.is_dir():
            for folder, folders, files in os.walk(path):
                folders[:] = sorted(name for name in folders if name not in PASSED_OVER)
                yield from (Path(folder, name) for name in sorted(files))
        else:
            raise UsageError(f"{path} does not exist", remedy="Name files or folders to audit.")


def read(path: Path, name: str) -> SourceFile | Unread:
    """The file as text, or why it is none that could be understood."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        return Unread(name, f"cannot be read: {error.strerror}")
    if len(data) > MAX_BYTES:
        return Unread(name, f"larger than {MAX_BYTES:,} bytes")
    if b"\0" in data:
        return Unread(name, "binary, not text")
    try:
        return SourceFile(path, name, data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return Unread(name, f"not UTF-8 (byte {error.start})", data[: error.start].count(b"\n") + 1)

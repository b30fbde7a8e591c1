"""The files of an audit: found, and read as text where they are text."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.audit.finding import Unread
from harness.errors import UsageError

MAX_BYTES = 1_000_000
"""Configuration written by people is smaller; what is larger is data."""

BINARY = "binary, not text"
TOO_LARGE = f"larger than {MAX_BYTES:,} bytes"

PASSED_OVER = frozenset(
    {
        ".git",
        ".hg",
        ".venv",
        "venv",
        "node_modules",
        "__pycache__",
        ".tox",
        ".nox",
        ".hypothesis",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        ".terraform",
        "site-packages",
    }
)
"""Folders that hold no configuration of the project's own."""

TESTS = frozenset({"tests", "test", "testing", "fixtures"})
"""Folders whose files configure nothing that is deployed."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file's text; ``name`` is its path as the user would write it."""

    path: Path
    name: str
    text: str = field(repr=False)


def _nothing(path: Path) -> bool:
    del path
    return False


@dataclass(frozen=True, slots=True)
class Selection:
    """Which files below a folder are audited. What the user names himself always is."""

    include_tests: bool = False
    excludes: Callable[[Path], bool] = _nothing

    def admits(self, root: Path, path: Path) -> bool:
        """Whether ``path``, somewhere below the folder ``root``, is audited."""
        folders = path.relative_to(root).parts[:-1]
        return not (
            any(name in PASSED_OVER or self.passes_over(name) for name in folders)
            or self.excludes(path)
        )

    def passes_over(self, folder: str) -> bool:
        """Whether a folder of that name is one of tests."""
        return folder in TESTS and not self.include_tests


@dataclass(frozen=True, slots=True)
class Found:
    """Files in a stable order, and how many were passed over by the name of their folder."""

    files: tuple[Path, ...]
    passed_over: Mapping[str, int]


def find(paths: Iterable[Path], selection: Selection | None = None) -> Found:
    """Every file below ``paths``, each once; a link to a folder is not followed.

    Raises `UsageError` for a path that does not exist.
    """
    selection = selection or Selection()
    files: dict[str, Path] = {}
    passed_over: Counter[str] = Counter()
    for path in paths:
        if path.is_file():
            found = [path]
        elif path.is_dir():
            found = list(_below(path, selection, passed_over))
        else:
            raise UsageError(f"{path} does not exist", remedy="Name files or folders to audit.")
        for file in found:
            files.setdefault(os.path.realpath(file), file)
    return Found(tuple(files.values()), dict(sorted(passed_over.items())))


def _below(root: Path, selection: Selection, passed_over: Counter[str]) -> Iterable[Path]:
    for folder, folders, names in os.walk(root):
        for name in filter(selection.passes_over, folders):
            passed_over[name] += _count(Path(folder, name))
        folders[:] = sorted(
            name for name in folders if name not in PASSED_OVER and not selection.passes_over(name)
        )
        for name in sorted(names):
            path = Path(folder, name)
            # A link that leads nowhere holds nothing.
            if not selection.excludes(path) and (path.exists() or not path.is_symlink()):
                yield path


def _count(root: Path) -> int:
    count = 0
    for _, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in PASSED_OVER]
        count += len(names)
    return count


def read(path: Path, name: str) -> SourceFile | Unread:
    """The file as text, or why it is none that could be understood."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        return Unread(name, f"cannot be read: {error.strerror}")
    if b"\0" in data:
        return Unread(name, BINARY)
    if len(data) > MAX_BYTES:
        return Unread(name, TOO_LARGE)
    try:
        return SourceFile(path, name, data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return Unread(name, f"not UTF-8 (byte {error.start})", data[: error.start].count(b"\n") + 1)

"""The files of an audit: found, and read as text where they are text."""

from __future__ import annotations

import io
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from harness.audit.finding import Unread
from harness.errors import UsageError

MAX_BYTES = 1_000_000
"""Configuration written by people is smaller; what is larger is data."""

BINARY = "binary, not text"
TOO_LARGE = f"larger than {MAX_BYTES:,} bytes"
LARGE_DATA = f"{TOO_LARGE}, and not called like configuration"
MAX_LOCK_BYTES = 10 * MAX_BYTES
"""Lock files are written by programs, and list hundreds of packages with every hash."""

UNREMARKABLE = frozenset({BINARY, LARGE_DATA})
"""Why nobody expects a file to be read."""
NO_FILE = "a pipe, a socket or a device, not a file"

TEXTUAL = frozenset(
    {
        *(".cfg", ".conf", ".env", ".ini", ".json", ".lock", ".properties", ".py", ".service"),
        ".sh",
        *(".sql", ".toml", ".txt", ".yaml", ".yml"),
    }
)
"""What is called so should be text, and is said where it is not."""

UTF_16 = (b"\xff\xfe", b"\xfe\xff")
"""What a file begins with that an editor has saved as UTF-16."""

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

    @property
    def lines(self) -> list[str]:
        """Its lines, without their ends."""
        return [line.rstrip("\r\n") for line in lines_of(self.text)]


def lines_of(text: str) -> list[str]:
    """Lines with their ends, as editors and Python's compiler count them.

    `str.splitlines` also ends one at a form feed, and at some signs of Unicode.
    """
    return list(io.StringIO(text, newline=""))


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
    """Files in a stable order, and how many were passed over by the name of their folder.

    ``unread`` are folders that could not be looked into.
    """

    files: tuple[Path, ...]
    passed_over: Mapping[str, int]
    unread: tuple[Unread, ...] = ()


def find(paths: Iterable[Path], selection: Selection | None = None) -> Found:
    """Every file below ``paths``, each once; a link to a folder is not followed.

    Raises `UsageError` for a path that does not exist, or that may not be looked at.
    """
    selection = selection or Selection()
    files: dict[str, Path] = {}
    passed_over: Counter[str] = Counter()
    unread: list[Unread] = []
    for path in paths:
        found = [path]
        if os.path.isdir(path):
            found = list(_below(path, selection, passed_over, unread))
        elif why := _missing(path):
            raise UsageError(f"{path} {why}", remedy="Name files or folders to audit.")
        for file in found:
            files.setdefault(os.path.realpath(file), file)
    return Found(tuple(files.values()), dict(sorted(passed_over.items())), tuple(unread))


def _missing(path: Path) -> str:
    """Why there is nothing at ``path``; empty where there is something."""
    try:
        path.stat()
    except FileNotFoundError:
        return "does not exist"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return ""


def _below(
    root: Path, selection: Selection, passed_over: Counter[str], unread: list[Unread]
) -> Iterable[Path]:
    def locked(error: OSError) -> None:
        folder = Path(os.fsdecode(error.filename or root))
        # The walk ends where a folder cannot be listed; what is excluded nobody misses.
        if not selection.excludes(folder):
            unread.append(Unread(str(folder), f"cannot be read: {error.strerror}"))

    for folder, folders, names in os.walk(root, onerror=locked):
        for name in filter(selection.passes_over, folders):
            passed_over[name] += _count(Path(folder, name))
        folders[:] = sorted(
            name for name in folders if name not in PASSED_OVER and not selection.passes_over(name)
        )
        unread += _links_out_of(root, [Path(folder, name) for name in folders], selection)
        for name in sorted(names):
            path = Path(folder, name)
            # A link that leads nowhere holds nothing.
            if not selection.excludes(path) and not (os.path.islink(path) and _missing(path)):
                yield path


def _links_out_of(root: Path, folders: Iterable[Path], selection: Selection) -> Iterable[Unread]:
    """Links to folders elsewhere, which nobody reads unless they are named."""
    inside = Path(os.path.realpath(root))
    for path in folders:
        if not path.is_symlink() or selection.excludes(path):
            continue
        if not Path(os.path.realpath(path)).is_relative_to(inside):
            yield Unread(str(path), "a link to a folder elsewhere: name it to have it audited")


def _count(root: Path) -> int:
    count = 0
    for _, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in PASSED_OVER]
        count += len(names)
    return count


def max_bytes(path: PurePath) -> int:
    """How large a file may be that is read."""
    return MAX_LOCK_BYTES if path.suffix == ".lock" else MAX_BYTES


def _is_textual(path: PurePath) -> bool:
    return path.suffix in TEXTUAL or path.name in TEXTUAL


def read(path: Path, name: str) -> SourceFile | Unread:
    """The file as text, or why it is none that could be understood."""
    try:
        # Opening a pipe would wait for somebody who writes, and a device may never end.
        if not stat.S_ISREG(path.stat().st_mode):
            return Unread(name, NO_FILE)
        with path.open("rb") as file:
            data = file.read(max_bytes(path) + 1)
    except OSError as error:
        return Unread(name, f"cannot be read: {error.strerror}")
    if data.startswith(UTF_16):
        return Unread(name, "UTF-16, not UTF-8: save it as UTF-8")
    if b"\0" in data:
        return Unread(name, "has zero bytes, as no text has" if _is_textual(path) else BINARY)
    if len(data) > max_bytes(path):
        return Unread(name, TOO_LARGE if _is_textual(path) else LARGE_DATA)
    try:
        return SourceFile(path, name, data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return Unread(name, f"not UTF-8 (byte {error.start})", data[: error.start].count(b"\n") + 1)

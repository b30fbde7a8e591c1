"""The audited files as they stood at a git revision, in a folder that goes away again.

A folder and not memory alone: some formats are several files, which are found beside each other.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.audit.finding import Unread
from harness.audit.sources import TOO_LARGE, Selection, SourceFile, max_bytes, read
from harness.errors import UsageError

FILES = frozenset({"100644", "100755"})
"""Modes of what is read: no links, no submodules."""


@dataclass(frozen=True, slots=True)
class _Blob:
    """A file of a revision: its object, and its path from the repository's root on."""

    object: str
    path: str
    size: int


@contextmanager
def sources_at(
    base: str, paths: Iterable[Path], selection: Selection
) -> Iterator[list[SourceFile | Unread]]:
    """What was below ``paths`` at the revision ``base``, by the names of today's paths.

    A file that was renamed since comes along from wherever it was. Raises `UsageError` where
    there is no git, no repository, or no such revision, or a path is outside of the repository.
    """
    paths = tuple(paths)
    top = _top(paths)
    roots = {path: _within(top, path) for path in paths}
    _git(
        top,
        ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{base}^{{commit}}"],
        f"there is no revision {base}",
        "Name a branch, a tag or a commit that is here; a shallow clone has to fetch it first "
        "(in GitHub's checkout action: fetch-depth: 0).",
    )
    wanted = _wanted(top, base, roots, selection)
    with tempfile.TemporaryDirectory(prefix="pooldrill-audit-") as made:
        folder = Path(made)
        _write(top, [blob for blob, name in wanted if blob.size <= max_bytes(name)], folder)
        yield [
            Unread(str(name), TOO_LARGE)
            if blob.size > max_bytes(name)
            else read(folder / blob.path, str(name))
            for blob, name in wanted
        ]


def _wanted(
    top: Path, base: str, roots: dict[Path, str], selection: Selection
) -> list[tuple[_Blob, Path]]:
    """Each file that is to be read, with its path as the user would write it."""
    blobs = {blob.path: blob for blob in _tree(top, base)}
    old_names = _renamed(top, base)
    wanted: dict[str, Path] = {}
    for root, inside in roots.items():
        for path in blobs:
            if (rest := _rest(path, inside)) is not None:
                name = root / rest if rest else root
                if not rest or selection.admits(root, name):
                    wanted.setdefault(path, name)
        for new, old in old_names.items():
            if old in blobs and _rest(new, inside) is not None:
                wanted.setdefault(old, Path(os.path.relpath(top / old)))
    return [(blobs[path], name) for path, name in sorted(wanted.items())]


def _rest(path: str, inside: str) -> str | None:
    """What of ``path`` follows ``inside``; empty for itself, None where it is not within."""
    if inside in ("", "."):
        return path
    if path == inside:
        return ""
    return path.removeprefix(f"{inside}/") if path.startswith(f"{inside}/") else None


def _top(paths: Sequence[Path]) -> Path:
    folder = paths[0] if paths[0].is_dir() else paths[0].parent
    said = _git(
        folder,
        ["rev-parse", "--show-toplevel"],
        f"{folder} is in no git checkout that can be read",
        "Leave --diff out, or take --baseline, which needs no git.",
    )
    return Path(os.path.realpath(os.fsdecode(said.rstrip(b"\n"))))


def _within(top: Path, path: Path) -> str:
    real = Path(os.path.realpath(path))
    if not real.is_relative_to(top):
        raise UsageError(
            f"{path} is outside of the repository {top}",
            remedy="Audit paths of one repository at a time.",
        )
    return real.relative_to(top).as_posix()


def _tree(top: Path, base: str) -> Iterator[_Blob]:
    listed = _git(top, ["ls-tree", "-r", "-l", "-z", "--full-tree", f"{base}^{{commit}}"])
    for entry in listed.split(b"\0"):
        about, tab, path = entry.partition(b"\t")
        if not tab:
            continue
        mode, _, name, size = about.decode("ascii").split()
        if mode in FILES:
            yield _Blob(name, os.fsdecode(path), int(size))


def _renamed(top: Path, base: str) -> dict[str, str]:
    """New paths with the old ones, of files that git takes for renamed."""
    options = ["--name-status", "-z", "--find-renames", "--diff-filter=R", "--no-ext-diff"]
    said = _git(top, ["diff", *options, f"{base}^{{commit}}", "--"])
    fields = [os.fsdecode(each) for each in said.split(b"\0")]
    return {new: old for _, old, new in zip(fields[::3], fields[1::3], fields[2::3], strict=False)}


def _write(top: Path, blobs: list[_Blob], folder: Path) -> None:
    """One process reads them all."""
    with tempfile.TemporaryFile() as names:
        names.write("".join(f"{blob.object}\n" for blob in blobs).encode("ascii"))
        names.seek(0)
        with subprocess.Popen(
            ["git", "-C", str(top), "cat-file", "--batch"], stdin=names, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            try:
                for blob in blobs:
                    header = process.stdout.readline()
                    if not header.endswith(f"blob {blob.size}\n".encode("ascii")):
                        raise UsageError(f"git cannot read {blob.path} of that revision")
                    data = process.stdout.read(blob.size)
                    process.stdout.read(1)  # the line end behind it
                    path = folder / blob.path
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(data)
            finally:
                process.kill()


def _git(folder: Path, words: list[str], failed: str = "", remedy: str = "") -> bytes:
    command = ["git", "-C", str(folder), *words]
    try:
        ended = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        raise UsageError(
            "--diff asks git, which is not installed", remedy="Install git, or use --baseline."
        ) from None
    if ended.returncode == 0:
        return ended.stdout
    why = ended.stderr.decode("utf-8", "replace").strip().splitlines()
    told = f"{failed or 'git ' + words[0] + ' failed'}{': ' + why[0] if why else ''}"
    raise UsageError(told, remedy=remedy)

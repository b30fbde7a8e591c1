"""What code does with connections together with another file.

A function that takes a connection of its own is harmless, and so is a caller that holds one: only
together do they need two. It is precise before it is complete: both must be seen to use one pool.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from harness.audit.parts import Use
from harness.audit.paths import common, folder_of, is_within
from harness.audit.reading import Calling, Code, Reading, Taking


def across(readings: Sequence[Reading]) -> list[Reading]:
    """The same, with the second connection of a call in the file that calls."""
    functions: dict[str, list[Taking]] = {}
    for reading in readings:
        for each in reading.takings:
            functions.setdefault(_last(each.function), []).append(each)
    sessions = {name for reading in readings for name in reading.session_names}
    return [
        _with(reading, used)
        if (used := [*_uses(reading.callings, functions), *_of_sessions(reading, sessions)])
        else reading
        for reading in readings
    ]


def _of_sessions(reading: Reading, sessions: Iterable[str]) -> Iterable[Use]:
    """What is supposed of names, of those that are sessions by the file that declares them."""
    for each in reading.supposed:
        if any(is_imported(name, each.name, each.use.place.file) for name in sessions):
            yield each.use


def _uses(callings: Iterable[Calling], functions: dict[str, list[Taking]]) -> Iterable[Use]:
    for calling in callings:
        named = [
            each
            for each in functions.get(_last(calling.function), ())
            if is_imported(each.function, calling.function, calling.use.place.file)
        ]
        near = max((common(calling.use.place.file, each.function) for each in named), default=0)
        for each in named:
            is_nearest = common(calling.use.place.file, each.function) == near
            if is_nearest and _are_one(each.pool, calling.pool):
                yield calling.use


def is_imported(function: str, name: str, file: str) -> bool:
    """Whether a file that imports it by this name may mean ``function``.

    What is imported from is a folder around the file: another program's has its own.
    """
    if not _ends_with(function, name):
        return False
    root = function.removesuffix(name).rstrip("/")
    return not root or is_within(folder_of(file), root)


def _with(reading: Reading, used: list[Use]) -> Reading:
    """In the file's code; a file that makes no pool and does nothing else has none yet."""
    place = used[0].place
    code, *others = reading.codes or (Code(place=place, folder=folder_of(place.file)),)
    uses = tuple(sorted({*code.uses, *used}, key=lambda use: (use.place, use.practice)))
    return replace(reading, codes=(replace(code, uses=uses), *others))


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _ends_with(path: str, end: str) -> bool:
    return path == end or path.endswith(f"/{end}")


def _are_one(one: str, other: str) -> bool:
    return _ends_with(one, other) or _ends_with(other, one)

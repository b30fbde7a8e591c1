"""Names that packages have from elsewhere: `from app.db import engine` may mean another file's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.audit.joining.calls import is_imported
from harness.audit.paths import common
from harness.audit.reading import Reading, Reexport

_DEEPEST = 4
"""Of packages that have a name from one another."""


def original(readings: Sequence[Reading]) -> list[Reading]:
    """The same, with what is called and held by the names under which it is declared."""
    names = _Names([each for reading in readings for each in reading.reexports])
    return [_with(reading, names) for reading in readings] if names else list(readings)


class _Names:
    def __init__(self, reexports: Sequence[Reexport]) -> None:
        self._by_name: dict[str, list[Reexport]] = {}
        for each in reexports:
            self._by_name.setdefault(_last(each.name), []).append(each)

    def __bool__(self) -> bool:
        return bool(self._by_name)

    def of(self, name: str, file: str) -> str:
        """The path of what a file imports by that name."""
        for _ in range(_DEEPEST):
            found = [
                each
                for each in self._by_name.get(_last(name), ())
                if is_imported(each.name, name, file)
            ]
            if not found:
                break
            nearest = max(found, key=lambda each: common(file, each.name))
            name, file = nearest.origin, nearest.file
        return name


def _with(reading: Reading, names: _Names) -> Reading:
    callings = (
        replace(
            each,
            function=names.of(each.function, each.use.place.file),
            pool=names.of(each.pool, each.use.place.file),
        )
        for each in reading.callings
    )
    takings = (
        replace(each, pool=names.of(each.pool, f"{each.function}.py")) for each in reading.takings
    )
    references = (
        replace(each, function=names.of(each.function, each.file)) for each in reading.references
    )
    supposed = (
        replace(each, name=names.of(each.name, each.use.place.file)) for each in reading.supposed
    )
    return replace(
        reading,
        callings=tuple(callings),
        takings=tuple(takings),
        references=tuple(references),
        supposed=tuple(supposed),
    )


def _last(path: str) -> str:
    return path.rpartition("/")[2]

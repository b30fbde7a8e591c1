"""Python files that import from each other what their pools are made with, read again together."""

from __future__ import annotations

from collections.abc import Sequence

from harness.audit.joining.calls import is_imported
from harness.audit.loaders.python import with_brought
from harness.audit.loaders.python.imports import is_followed, module_path
from harness.audit.loaders.python.syntax import Module, NotPython
from harness.audit.parts import Pool
from harness.audit.paths import common
from harness.audit.reading import Reading, Reference
from harness.audit.sources import SourceFile
from harness.audit.values import Value


def importing(readings: Sequence[Reading]) -> list[Reading]:
    """The same, with the values that another file's constants, options or fields decide."""
    sources = [each.source for reading in readings for each in reading.python_files]
    modules = _Modules(sources, [each for reading in readings for each in reading.references])
    return [_again(reading, modules) if _lacks(reading) else reading for reading in readings]


def _again(reading: Reading, modules: _Modules) -> Reading:
    try:
        return with_brought(reading, modules.declaring, modules.calling)
    except RecursionError:  # of an expression that nobody wrote by hand
        return reading


def _lacks(reading: Reading) -> bool:
    """Whether something of its pools is unknown that another file may say."""
    pools = [pool for code in reading.codes for pool in code.pools]
    return bool(reading.python_files) and any(map(_is_open, pools))


def _is_open(pool: Pool) -> bool:
    values: tuple[Value[float] | Value[bool] | Value[str], ...] = (
        pool.size,
        pool.max_overflow,
        pool.timeout_s,
        pool.recycle_s,
        pool.pre_ping,
        pool.target.host,
    )
    return any(
        not each.is_known and (each.variable is None or each.variable.attribute) for each in values
    )


class _Modules:
    """The project's files by what they declare; each is read as a tree when it is asked for."""

    def __init__(self, sources: Sequence[SourceFile], references: Sequence[Reference]) -> None:
        self._by_name: dict[str, list[tuple[str, SourceFile]]] = {}
        self._by_file = {source.name: source for source in sources}
        self._references: dict[str, list[Reference]] = {}
        for each in references:
            self._references.setdefault(each.function.rpartition("/")[2], []).append(each)
        for source in sources:
            path = module_path(source.name)
            self._by_name.setdefault(path.rpartition("/")[2], []).append((path, source))
        self._read: dict[str, Module | None] = {}

    def declaring(self, path: str, file: str) -> Module | None:
        """The module that a file imports the last part of ``path`` from, the nearest to it."""
        module, _, name = path.rpartition("/")
        found = [
            (own, source)
            for own, source in self._by_name.get(module.rpartition("/")[2], ())
            if is_imported(f"{own}/{name}", path, file)
        ]
        if not found:
            return None
        return self._module(max(found, key=lambda each: common(file, each[0]))[1])

    def calling(self, function: str) -> tuple[Module, str] | None:
        """The only module that calls a function of another, and its name there."""
        name = function.rpartition("/")[2]
        if not is_followed(function):
            return None
        found = [
            each
            for each in self._references.get(name, ())
            if is_imported(function, each.function, each.file)
        ]
        source = self._by_file.get(found[0].file) if len(found) == 1 else None
        module = None if source is None else self._module(source)
        return None if module is None or name not in module.imports else (module, name)

    def _module(self, source: SourceFile) -> Module | None:
        if source.name not in self._read:
            try:
                self._read[source.name] = Module(source)
            except NotPython:
                self._read[source.name] = None
        return self._read[source.name]

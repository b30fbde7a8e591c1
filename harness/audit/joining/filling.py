"""Pools that code makes of what a configuration file says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from harness.audit.joining.merging import merged
from harness.audit.parts import Pool
from harness.audit.paths import common
from harness.audit.reading import Code
from harness.audit.values import Value, read_at, replaced


def filled(codes: Sequence[Code]) -> list[Code]:
    """Code whose pool is sized by a configuration file, as one: the file says, the code makes.

    Of several files the one that stands nearest to the code is taken to be its own.
    """
    found = list(codes)
    for code in codes:
        if not _is_python(code) or len(code.pools) != 1 or not _asks_a_file(code.pools[0]):
            continue
        says = [each for each in found if _says(each, code.pools[0])]
        near = max((common(code.folder, each.place.file) for each in says), default=0)
        nearest = [each for each in says if common(code.folder, each.place.file) == near]
        if len(nearest) != 1:
            continue
        (own,) = nearest
        pool = replaced(code.pools[0], _as_said(own))
        whole = replace(
            merged(own.pools[0], pool), name=pool.name, implementation=pool.implementation
        )
        found.remove(own)
        found[found.index(code)] = replace(code, pools=(whole,))
    makes = [code for code in found if _is_python(code) and not code.given]
    making = {pool.implementation for code in makes for pool in code.pools}
    return [
        code
        for code in found
        if not code.given
        or not (making if _is_python(code) else making & {p.implementation for p in code.pools})
    ]


def _as_said(own: Code) -> Callable[[Value[Any]], Value[Any]]:
    """Values that code reads from the file by a setting's name, as its section has that."""
    settings = {name.lower(): said for name, said in own.said.items()}

    def read(value: Value[Any]) -> Value[Any]:
        variable = value.variable
        if variable is None or not variable.attribute or variable.name.lower() not in settings:
            return value
        text, place = settings[variable.name.lower()]
        return read_at(text, place, variable.name, variable.read, partial=variable.partial)

    return read


def _asks_a_file(pool: Pool) -> bool:
    """Whether its size is not known, and is no environment variable's either."""
    variable = pool.size.variable
    return not pool.size.is_known and (variable is None or variable.attribute)


def _says(code: Code, pool: Pool) -> bool:
    """Whether it is a configuration file that may be about ``pool``: not another product's."""
    if _is_python(code) or len(code.pools) != 1:
        return False
    return code.pools[0].implementation in ("unknown", "none", pool.implementation)


def _is_python(code: Code) -> bool:
    return code.place.file.endswith(".py")

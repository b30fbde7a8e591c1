"""Pools that exclude each other: which of them code makes is decided in any of its files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from harness.audit.branches import Branch, common
from harness.audit.joining.calls import is_imported
from harness.audit.parts import Pool
from harness.audit.reading import Reading, Reference

_DEEPEST = 6
"""Of files that call each other on the way to a pool."""


def decided(pools: Sequence[Pool]) -> tuple[Pool, ...]:
    """A workload's pools without those that the configuration does not choose.

    A choice that goes no way to any of several pools was not understood, and leaves nothing out;
    nor is anything left out of a workload that would have no pool then.
    """
    ways: dict[str, set[int]] = {}
    for branch in (each for pool in pools for each in pool.branches):
        ways.setdefault(branch.choice, set()).update(branch.ways)

    def taken(branch: Branch) -> bool | None:
        leads = ways[branch.choice]
        return branch.is_taken if len(leads) == 1 or branch.chosen.known in leads else None

    kept = [each for each in pools if all(taken(on) is not False for on in each.branches)]
    return tuple(
        replace(each, branches=tuple(on for on in each.branches if taken(on) is not True))
        for each in kept or pools
    )


def chosen(readings: Sequence[Reading]) -> list[Reading]:
    """The same, with the branches of other files that lead to where a pool is made."""
    references = _References(
        each for reading in readings for each in reading.references if each.is_call
    )
    return [_with(reading, references) if reading.makers else reading for reading in readings]


def _with(reading: Reading, references: _References) -> Reading:
    before = {each.pool: references.to(each.function, 0) for each in reading.makers}

    def reached(pool: Pool) -> Pool:
        return replace(pool, branches=(*before.get(pool.place, ()), *pool.branches))

    codes = (replace(code, pools=tuple(map(reached, code.pools))) for code in reading.codes)
    return replace(reading, codes=tuple(codes))


class _References:
    """Who calls whom, from one file to another."""

    def __init__(self, references: Iterable[Reference]) -> None:
        self._by_name: dict[str, list[Reference]] = {}
        for each in references:
            self._by_name.setdefault(_last(each.function), []).append(each)
        self._known: dict[str, tuple[Branch, ...]] = {}

    def to(self, function: str, depth: int) -> tuple[Branch, ...]:
        """The branches that lead to a function, the outermost first."""
        if depth > _DEEPEST or not function:
            return ()
        if function not in self._known:
            self._known[function] = ()  # one that leads to itself is reached by others first
            found = [
                (*self.to(each.within, depth + 1), *each.branches)
                for each in self._by_name.get(_last(function), ())
                if is_imported(function, each.function, each.file)
            ]
            self._known[function] = common(found)
        return self._known[function]


def _last(path: str) -> str:
    return path.rpartition("/")[2]

"""Pools that exclude each other: the code makes one of them, and a setting says which."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from harness.audit.chain import Chain
from harness.audit.parts import Pool, Workload

Weight = Callable[[Workload, Pool], float]


def greatest(
    pools: Iterable[tuple[Workload, Pool]], weight: Weight
) -> tuple[tuple[Workload, Pool], ...]:
    """Those that may exist at once and weigh the most together, in their order.

    Each workload makes its own choices.
    """
    groups: dict[int, list[tuple[Workload, Pool]]] = {}
    for each in pools:
        groups.setdefault(id(each[0]), []).append(each)
    return tuple(each for group in groups.values() for each in _chosen(group, weight, 0))


def at_once(chain: Chain) -> int:
    """The most pools of a chain that may exist at once."""
    return len(greatest(chain.pools(), lambda workload, pool: 1.0))


def _chosen(
    group: list[tuple[Workload, Pool]], weight: Weight, depth: int
) -> list[tuple[Workload, Pool]]:
    """Of pools whose choices before ``depth`` are all made alike."""
    choices: dict[str, list[tuple[Workload, Pool]]] = {}
    chosen: list[tuple[Workload, Pool]] = []
    for each in group:
        branches = each[1].branches
        if len(branches) > depth:
            choices.setdefault(branches[depth].choice, []).append(each)
        else:
            chosen.append(each)
    for members in choices.values():
        ways = {way for _, pool in members for way in pool.branches[depth].ways}
        alternatives = [
            _chosen([e for e in members if way in e[1].branches[depth].ways], weight, depth + 1)
            for way in sorted(ways)
        ]
        chosen += max(alternatives, key=lambda some: sum(weight(*each) for each in some))
    order = {id(pool): number for number, (_, pool) in enumerate(group)}
    return sorted(chosen, key=lambda each: order[id(each[1])])

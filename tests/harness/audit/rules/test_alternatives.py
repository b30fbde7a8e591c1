"""What rules count of pools that exclude each other: the largest, never their sum."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.audit.branches import Branch
from harness.audit.chain import Chain
from harness.audit.finding import Finding
from harness.audit.parts import Pool
from harness.audit.rules import pd101, pd105, pd142
from harness.audit.rules.alternatives import at_once, greatest
from harness.audit.rules.counts import of_pools
from harness.audit.rules.inputs import carried_per_s
from harness.audit.values import Value
from tests.harness.audit.chains import chain, finding, pool, said, silent


def on(choice: str, *ways: int) -> Branch:
    return Branch(choice, frozenset(ways), Value.unknown("the code chooses it"))


def sized(size: float, *branches: Branch, **more: Any) -> Pool:
    return replace(pool(size=size, **more), branches=branches)


def chosen(of: Chain) -> list[float | None]:
    return [pool.size.known for _, pool in greatest(of.pools(), lambda _, p: p.size.known or 0.0)]


def test_of_alternatives_the_largest_counts() -> None:
    found = chain(sized(10, on("a", 0)), sized(30, on("a", 1)), sized(20, on("a", 2)))
    assert chosen(found) == [30]
    demand = of_pools(found.pools())
    assert (demand.most, demand.shown) == (60, "2 × 30"), "of two processes"


def test_what_is_always_made_counts_besides() -> None:
    assert chosen(chain(sized(5), sized(10, on("a", 0)), sized(30, on("a", 1)))) == [5, 30]


def test_two_choices_are_made_each_for_itself() -> None:
    pools = [sized(1, on("a", 0)), sized(2, on("a", 1)), sized(4, on("b", 0)), sized(3, on("b", 1))]
    assert chosen(chain(*pools)) == [2, 4]


def test_of_one_way_all_pools_count() -> None:
    pools = [sized(10, on("a", 0)), sized(11, on("a", 0)), sized(20, on("a", 1))]
    assert chosen(chain(*pools)) == [10, 11]


def test_choices_within_a_way_are_made_first() -> None:
    pools = [
        sized(10, on("a", 0), on("b", 0)),
        sized(15, on("a", 0), on("b", 1)),
        sized(4, on("a", 0)),
        sized(18, on("a", 1)),
    ]
    assert chosen(chain(*pools)) == [15, 4]


def test_a_pool_on_several_ways_counts_on_each() -> None:
    assert chosen(chain(sized(5, on("a", 0, 2)), sized(7, on("a", 1)))) == [7]
    assert chosen(chain(sized(9, on("a", 0, 2)), sized(7, on("a", 2)))) == [9, 7]


def test_each_workload_chooses_for_itself() -> None:
    one = chain(sized(10, on("a", 0)), sized(30, on("a", 1)))
    both = replace(one, workloads=(*one.workloads, replace(one.workloads[0], name="other")))
    assert chosen(both) == [30, 30]


def test_the_server_is_asked_for_the_largest_alone() -> None:
    alternatives = sized(40, on("a", 0)), sized(45, on("a", 1))
    assert silent(pd101, chain(*alternatives)), "2 × 45 of 97, and 2 × 85 together"
    found = finding(pd101, chain(sized(40, on("a", 0)), sized(50, on("a", 1))))
    assert "2 × 50 = 100 connections" in found.message


def test_an_alternative_of_which_nothing_is_known_is_still_lacking() -> None:
    unknown = replace(sized(0, on("a", 1)), size=Value.unknown("it is computed"))
    assert of_pools(chain(sized(10, on("a", 0)), unknown).pools()).lacks is not None


def test_the_largest_carries_the_peak_where_any_does() -> None:
    small, large = sized(1, on("a", 0)), sized(2, on("a", 1))
    assert carried_per_s(chain(small, large)) == 2 * 2 / 0.05
    assert silent(pd142, chain(small, large, peak_per_s=80.0))
    found = finding(pd142, chain(small, large, peak_per_s=90.0))
    assert "2 × 2 / 0.05 s = 80 logins" in found.message


def test_each_alternatives_own_findings_hold() -> None:
    both = sized(10, on("a", 0), threads=5.0), sized(11, on("a", 1), threads=5.0)
    found = [each for each in said(pd105.check(chain(*both))) if isinstance(each, Finding)]
    assert len(found) == 2


def test_pools_that_exclude_each_other_are_counted_once() -> None:
    assert at_once(chain(sized(10, on("a", 0)), sized(30, on("a", 1)))) == 1
    assert (
        at_once(chain(sized(5), sized(10, on("a", 0)), sized(11, on("a", 0)), sized(9, on("a", 1))))
        == 3
    )
    assert at_once(chain(sized(5), sized(5))) == 2
    assert at_once(Chain()) == 0

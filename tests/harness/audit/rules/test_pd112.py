"""PD112: one pool stands on top of another."""

from __future__ import annotations

from harness.audit.parts import Use
from harness.audit.rules import pd112 as rule
from harness.audit.values import Place
from tests.harness.audit.chains import chain, finding, silent


def test_an_engine_over_a_pool_is_found() -> None:
    where = Place("app/db.py", 9, "pool-over-pool")
    found = finding(rule, chain(workload={"uses": (Use("pool-over-pool", where),)}))
    assert (found.severity, found.place) == ("warning", where)
    assert "NullPool" in found.fix


def test_other_practices_are_other_rules_matters() -> None:
    where = Place("app/db.py", 9)
    assert silent(rule, chain(workload={"uses": (Use("nested-checkout", where, 2),)}))
    assert silent(rule, chain())

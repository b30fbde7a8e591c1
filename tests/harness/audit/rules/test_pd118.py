"""PD118: an asynchronous pool is opened in its constructor."""

from __future__ import annotations

from harness.audit.parts import Use
from harness.audit.rules import pd118 as rule
from harness.audit.values import Place
from tests.harness.audit.chains import chain, finding, silent


def test_a_pool_that_is_opened_too_early_is_found() -> None:
    where = Place("app/db.py", 4, "opened-in-constructor")
    found = finding(rule, chain(workload={"uses": (Use("opened-in-constructor", where),)}))
    assert (found.severity, found.place) == ("warning", where)
    assert "open=False" in found.fix


def test_other_practices_are_other_rules_matters() -> None:
    where = Place("app/db.py", 4)
    assert silent(rule, chain(workload={"uses": (Use("pool-over-pool", where),)}))
    assert silent(rule, chain())

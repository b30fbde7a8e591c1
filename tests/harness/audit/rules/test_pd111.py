"""PD111: a pool is made before the server forks."""

from __future__ import annotations

from typing import Any

import pytest

from harness.audit.chain import Chain
from harness.audit.parts import Use
from harness.audit.rules import pd111 as rule
from harness.audit.values import Place, Value
from tests.harness.audit.chains import HERE, NOT_KNOWN, chain, finding, pool, silent, unknown

WHERE = Place("app/jobs.py", 8, "fork-after-engine")


def preloaded(preload: Any = True, **changes: Any) -> Chain:
    return chain(pool(**{"made_at_import": True, **changes}), workload={"preload": preload})


def test_an_engine_that_crosses_the_fork_is_found() -> None:
    found = finding(rule, preloaded())
    assert found.severity == "warning"
    assert "app.env:3" in found.message, "where the preload is said"
    assert "dispose" in found.fix


def test_psycopgs_threads_do_not_cross_it() -> None:
    found = finding(rule, preloaded(implementation="psycopg-pool"))
    assert found.severity == "error"
    assert "open=False" in found.fix


@pytest.mark.parametrize("preload", [False, NOT_KNOWN])
def test_without_preload_each_worker_makes_its_own(preload: Any) -> None:
    assert silent(rule, preloaded(preload))


@pytest.mark.parametrize("made", [False, NOT_KNOWN])
def test_a_pool_of_the_workers_own_is_clean(made: Any) -> None:
    assert silent(rule, preloaded(made_at_import=made))


def test_an_engine_that_is_disposed_is_clean() -> None:
    assert silent(rule, preloaded(disposed_after_fork=True))


@pytest.mark.parametrize("implementation", ["none", "django"])
def test_what_keeps_no_connections_over_it_is_clean(implementation: str) -> None:
    assert silent(rule, preloaded(implementation=implementation))


def test_a_process_that_is_forked_off_is_found() -> None:
    uses = (Use("fork-after-engine", WHERE),)
    found = finding(rule, chain(workload={"uses": uses}))
    assert (found.severity, found.place) == ("warning", WHERE)
    assert silent(rule, chain(pool(disposed_after_fork=True), workload={"uses": uses}))


def test_when_a_pool_is_made_may_be_what_is_missing() -> None:
    """Flask's engine is made with the application, which a factory makes at any time."""
    later = Value.unknown("it is made with the application", HERE)
    assert "connects before the fork" in unknown(rule, preloaded(made_at_import=later)).needs
    assert silent(rule, preloaded(False, made_at_import=later))
    assert silent(rule, preloaded(made_at_import=later, disposed_after_fork=True))

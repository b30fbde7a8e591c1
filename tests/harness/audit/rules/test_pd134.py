"""PD134: monitoring that is locked out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.audit.chain import Chain
from harness.audit.parts import Monitor
from harness.audit.rules import pd134 as rule
from harness.audit.values import Place
from tests.harness.audit.chains import NOT_KNOWN, at, chain, finding, pool, silent, unknown


def watched(*monitors: Monitor, size: float = 48.0) -> Chain:
    """Two pools, of a server that grants 97."""
    return replace(chain(pool(size=size)), monitors=monitors)


def monitor(name: str = "exporter", **changes: Any) -> Monitor:
    sound = Monitor(name=name, place=Place("compose.yaml", 9))
    return replace(sound, **{key: at(value) for key, value in changes.items()})


def test_a_role_without_a_slot_is_found() -> None:
    found = finding(rule, watched(monitor(reserved_slot=False)))
    assert found.severity == "warning"
    assert "pg_use_reserved_connections" in found.fix


def test_a_role_with_a_slot_is_clean() -> None:
    assert silent(rule, watched(monitor(reserved_slot=True)))


def test_where_the_pools_leave_room_nobody_is_locked_out() -> None:
    """2 × 47 of 97, and an exporter has three."""
    assert silent(rule, watched(monitor(reserved_slot=False), size=47.0))


def test_pools_that_are_not_known_may_fill_it() -> None:
    lacking = chain(pool(size=1.0), workload={"replicas": NOT_KNOWN})
    assert not silent(rule, replace(lacking, monitors=(monitor(reserved_slot=False),)))


def test_it_says_what_it_lacks() -> None:
    assert "exporter has a reserved slot" in unknown(rule, watched(monitor())).needs


def test_what_one_file_lacks_another_may_say() -> None:
    """A container that logs in as a role whose grants are in SQL."""
    container = monitor(user="watcher")
    role = monitor("role watcher", user="watcher", reserved_slot=True)
    assert silent(rule, watched(container, role))


def test_without_monitoring_there_is_nothing_to_say() -> None:
    assert silent(rule, watched())


def test_pools_that_have_no_threads_to_fill_it_leave_room() -> None:
    few = replace(chain(pool(size=48.0, threads=47.0)), monitors=(monitor(reserved_slot=False),))
    assert silent(rule, few)
    more = replace(chain(pool(size=48.0, threads=48.0)), monitors=few.monitors)
    assert not silent(rule, more)

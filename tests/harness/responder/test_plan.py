"""The timeline as steps."""

from __future__ import annotations

import pytest

from harness.incident import Phase, load_incident
from harness.responder import plan
from harness.timemap import build_timemap


def steps_of(name: str, do: str, **overrides: str) -> list[tuple[float, str, int, int]]:
    incident = load_incident(name, overrides)
    timemap = build_timemap(incident)
    return [
        (round(timemap.to_incident_s(step.replay_s)), step.target, step.part, step.parts)
        for step in plan(incident, timemap)
        if not isinstance(step.what, Phase) and step.what.do == do
    ]


def test_a_rolling_change_has_a_step_for_each_replica_so_far_apart() -> None:
    assert steps_of("undersized-pool", "set-pool") == [
        (7800, "replica-1", 1, 2),
        (7800 + 29 * 60, "replica-2", 2, 2),
    ]


def test_a_change_of_one_replica_has_one_step() -> None:
    assert steps_of("gateway-504", "set-pool") == [(14880, "replica-1", 1, 1)]


def test_backups_are_left_out_of_a_rolling_change() -> None:
    targets = [target for _, target, *_ in steps_of("gateway-504", "roll-back")]
    assert targets == ["replica-1", "replica-2", "replica-3"]


def test_replicas_that_were_added_are_changed_too() -> None:
    steps = steps_of(
        "flash-sale-deploy",
        "restart",
        timeline="[{at: 1h, do: scale-out, add: 2}, {at: 1h30m, do: restart, fix: true}]",
        **{"truth.capacity_defect.without": "{service.pool.size: 9}"},
    )
    assert [target for _, target, *_ in steps] == [f"replica-{n}" for n in (1, 2, 3, 4)]


def test_what_lasts_begins_and_ends() -> None:
    steps = steps_of("lock-contention", "lock-table")
    assert [at_s for at_s, *_ in steps] == [8, 38]


def test_steps_come_in_order_and_phases_before_events() -> None:
    incident = load_incident("undersized-pool")
    timemap = build_timemap(incident)
    steps = plan(incident, timemap)
    assert [s.replay_s for s in steps] == sorted(s.replay_s for s in steps)
    at_surge = [s.what for s in steps if s.replay_s == pytest.approx(timemap.to_replay_s(600))]
    assert isinstance(at_surge[0], Phase)

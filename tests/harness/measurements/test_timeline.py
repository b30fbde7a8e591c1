"""What the timeline did: fixes and decoys of several steps, and the parts that it took away."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from harness.measurements import away_seconds, decoys, mitigated_s, restarts
from harness.recording import EventKind, TimelineEvent


def recording(*events: TimelineEvent) -> Any:
    return SimpleNamespace(events=events)


def step(t_s: float, state: str, number: int, of: int, kind: EventKind = "action") -> TimelineEvent:
    detail = {"fix": kind == "action", "at_s": 60.0, "step": number, "steps": of}
    return TimelineEvent(t_s, kind, "set-pool", state, detail)  # type: ignore[arg-type]


def part(t_s: float, name: str, state: str, of: str) -> TimelineEvent:
    return TimelineEvent(t_s, "lifecycle", name, state, {"part": of})  # type: ignore[arg-type]


def test_a_fix_is_complete_when_all_its_steps_are_in_whatever_order() -> None:
    begun = [step(1, "begin", 1, 2), step(1, "begin", 2, 2)]
    assert mitigated_s(recording(*begun, step(5, "end", 2, 2))) is None
    assert mitigated_s(recording(*begun, step(5, "end", 2, 2), step(7, "end", 1, 2))) == 7


def test_a_decoy_of_several_steps_is_one_and_a_second_of_its_kind_is_numbered() -> None:
    once = [step(t, s, n, 2, "decoy") for t, s, n in ((1, "begin", 1), (1, "begin", 2))]
    once += [step(3, "end", 2, 2, "decoy"), step(4, "end", 1, 2, "decoy")]
    twice = [step(9, "begin", 1, 1, "decoy"), step(11, "end", 1, 1, "decoy")]
    found = decoys(recording(*once, *twice))
    assert [(d.name, d.begin.t_s, d.end.t_s) for d in found] == [
        ("set-pool", 1, 4),
        ("set-pool-2", 9, 11),
    ]


def test_a_part_is_away_from_its_restarts_beginning_to_the_second_after_its_end() -> None:
    seen = recording(
        part(3.5, "restart", "begin", "replica-1"),
        part(5.2, "restart", "end", "replica-1"),
        part(8.0, "restart-database", "begin", "postgres"),
        part(9.1, "restart-database", "end", "postgres"),
        part(12.0, "reconfigure", "begin", "replica-2"),
        part(15.0, "reconfigure", "end", "replica-2"),
    )
    assert away_seconds(seen, "replica-1") == {3, 4, 5, 6}
    assert away_seconds(seen, "postgres") == {8, 9, 10}
    assert away_seconds(seen, "replica-2") == set(), "it was replaced without a gap"
    assert restarts(seen) == 1


def test_a_restart_that_never_ended_excuses_nothing() -> None:
    assert away_seconds(recording(part(3, "restart", "begin", "replica-1")), "replica-1") == set()

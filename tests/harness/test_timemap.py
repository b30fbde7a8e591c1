"""The map between incident time and replay time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.incident import read_incident
from harness.timemap import TimeMap, build_timemap, shorten
from tests.recordings import UNDERSIZED_YAML


def seconds(most: int) -> st.SearchStrategy[float]:
    """Durations as files have them: whole milliseconds."""
    return st.integers(0, most * 1000).map(lambda milliseconds: milliseconds / 1000)


windows = st.tuples(seconds(9000), seconds(60), seconds(60))


@st.composite
def maps(draw: st.DrawFn) -> TimeMap:
    disturbances = draw(st.lists(windows, max_size=12))
    return shorten(disturbances, 9001.0 + draw(seconds(10000)), approach_s=draw(seconds(30)))


@given(maps(), st.floats(0, 1))
def test_replay_and_incident_time_are_inverse(timemap: TimeMap, share: float) -> None:
    incident_s = share * timemap.incident_length_s
    assert timemap.to_incident_s(timemap.to_replay_s(incident_s)) == pytest.approx(
        incident_s, abs=1e-6
    )


@given(maps())
def test_the_map_never_speeds_up_and_never_stands_still(timemap: TimeMap) -> None:
    assert all(knot.weight >= 1 - 1e-9 for knot in timemap.knots)
    for one, next_ in zip(timemap.knots, timemap.knots[1:], strict=False):
        assert next_.incident_s > one.incident_s
        assert next_.replay_s > one.replay_s


@given(maps())
def test_weights_add_up_to_the_incident(timemap: TimeMap) -> None:
    total_s = sum(
        (after.replay_s - before.replay_s) * before.weight
        for before, after in zip(timemap.knots, timemap.knots[1:], strict=False)
    )
    assert total_s == pytest.approx(timemap.incident_length_s)


def test_true_speed_after_a_disturbance_and_before_the_next() -> None:
    timemap = shorten([(0.0, 5.0, 10.0), (1000.0, 5.0, 10.0)], 2000.0, approach_s=20.0)
    assert timemap.replay_length_s == (5 + 10 + 20) + (5 + 10)
    assert timemap.weight(2.0) == 1
    assert timemap.weight(10.0) == (1000 - 25) / 10
    assert timemap.weight(20.0) == 1
    assert timemap.to_replay_s(990.0) == pytest.approx(25.0)


def test_a_short_stretch_keeps_its_length() -> None:
    assert shorten([(0.0, 5.0, 10.0)], 12.0, approach_s=3.0).replay_length_s == 12.0


def test_full_length_is_the_identity() -> None:
    incident = read_incident(UNDERSIZED_YAML, file="x.yaml")
    timemap = build_timemap(incident, full_length=True)
    assert timemap.replay_length_s == incident.clock.duration_s
    assert timemap.to_replay_s(1234.5) == 1234.5

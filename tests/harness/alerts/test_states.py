"""The state machine of an alert, against a word-for-word model of Prometheus's."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from harness.alerts.states import FIRING, INACTIVE, PENDING, firings, states


def as_prometheus(active: list[bool], step_s: float, for_s: float, keep_s: float) -> list[int]:
    """`AlertingRule.Eval`, one evaluation after the other, with its own names."""
    state, active_at, keep_firing_since = INACTIVE, 0.0, None
    found = []
    for number, result in enumerate(active):
        ts = number * step_s
        if result:
            keep_firing_since = None
            if state == INACTIVE:
                state, active_at = PENDING, ts
        else:
            keep_firing = False
            if state == FIRING and keep_s > 0:
                if keep_firing_since is None:
                    keep_firing_since = ts
                keep_firing = ts - keep_firing_since < keep_s
            if not keep_firing:
                state, keep_firing_since = INACTIVE, None
        if state == PENDING and ts - active_at >= for_s:
            state = FIRING
        found.append(state)
    return found


@given(
    active=st.lists(st.booleans(), min_size=1, max_size=60),
    step_s=st.sampled_from([1.0, 15.0, 30.0]),
    waits=st.integers(0, 8),
    keeps=st.integers(0, 5),
)
def test_every_state_is_prometheuss(
    active: list[bool], step_s: float, waits: int, keeps: int
) -> None:
    for_s, keep_s = waits * 7.5, keeps * 15.0
    row = states(
        np.array(active), np.arange(len(active)) * step_s, for_s=for_s, keep_firing_for_s=keep_s
    )
    assert row.tolist() == as_prometheus(active, step_s, for_s, keep_s)


def test_many_rows_are_judged_one_by_one() -> None:
    active = np.array([[True, True, True, False], [False, True, True, True]])
    rows = states(active, np.arange(4) * 15.0, for_s=30)
    assert rows.tolist() == [[1, 1, 2, 0], [0, 1, 1, 2]]


def test_a_firing_knows_its_pending_its_beginning_and_its_end() -> None:
    instants = np.arange(8) * 15.0
    active = np.array([False, True, True, True, False, True, True, True])
    row = states(active, instants, for_s=15)
    first, second = firings(row, instants)
    assert (first.pending_s, first.fired_s, first.resolved_s) == (15, 30, 60)
    assert (second.pending_s, second.fired_s, second.resolved_s) == (75, 90, None)


def test_what_is_never_active_never_fires() -> None:
    row = states(np.zeros(5, dtype=bool), np.arange(5) * 15.0, for_s=0)
    assert list(firings(row, np.arange(5) * 15.0)) == []

"""When an alert is pending, fires and resolves: Prometheus's state machine on a row of evaluations.

After Prometheus's `AlertingRule.Eval` (rules/alerting.go): an alert becomes pending at the first
evaluation whose result holds it (``ActiveAt``), fires at the first one at which ``now - ActiveAt
>= for``, and resolves at the first one without it, unless ``keep_firing_for`` holds it: from the
first evaluation without it, it goes on firing while ``now - then < keep_firing_for``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

INACTIVE, PENDING, FIRING = 0, 1, 2

SLACK_S = 1e-6
"""Instants are sums of floating-point steps."""


@dataclass(frozen=True, slots=True)
class Firing:
    """One stretch of firing. ``resolved_s`` is None where it fires to the end of the series."""

    pending_s: float
    fired_s: float
    resolved_s: float | None


def states(
    active: NDArray[np.bool_],
    instants_s: NDArray[np.float64],
    *,
    for_s: float,
    keep_firing_for_s: float = 0.0,
) -> NDArray[np.int8]:
    """The state after each evaluation; ``active`` has the shape (…, evaluations)."""
    if keep_firing_for_s > 0:
        rows = active.reshape(-1, active.shape[-1])
        kept = [_kept(row, instants_s, for_s, keep_firing_for_s) for row in rows]
        return np.array(kept, dtype=np.int8).reshape(active.shape)
    count = active.shape[-1]
    positions = np.arange(count)
    # The last evaluation without it, at or before each: it became active at the next one.
    quiet = np.maximum.accumulate(np.where(active, -1, positions), axis=-1)
    since_s = instants_s[np.minimum(quiet + 1, count - 1)]
    firing = active & (instants_s - since_s >= for_s - SLACK_S)
    return np.where(firing, FIRING, np.where(active, PENDING, INACTIVE)).astype(np.int8)


def _kept(
    active: NDArray[np.bool_], instants_s: NDArray[np.float64], for_s: float, keep_s: float
) -> list[int]:
    state, since_s, quiet_since_s = INACTIVE, 0.0, None
    row = []
    for is_active, now_s in zip(active.tolist(), instants_s.tolist(), strict=True):
        if is_active:
            quiet_since_s = None
            if state == INACTIVE:
                state, since_s = PENDING, now_s
            if state == PENDING and now_s - since_s >= for_s - SLACK_S:
                state = FIRING
        elif state == FIRING:
            quiet_since_s = now_s if quiet_since_s is None else quiet_since_s
            if now_s - quiet_since_s >= keep_s - SLACK_S:
                state, quiet_since_s = INACTIVE, None
        else:
            state = INACTIVE
        row.append(state)
    return row


def firings(row: NDArray[np.int8], instants_s: NDArray[np.float64]) -> Iterator[Firing]:
    """The stretches of firing in one row of `states`."""
    firing = row == FIRING
    edges = np.diff(firing.astype(np.int8), prepend=0, append=0)
    for begin, end in zip(np.flatnonzero(edges > 0), np.flatnonzero(edges < 0), strict=True):
        earlier = np.flatnonzero(row[:begin] == INACTIVE)
        pending = int(earlier[-1]) + 1 if len(earlier) else 0
        yield Firing(
            pending_s=float(instants_s[pending]),
            fired_s=float(instants_s[begin]),
            resolved_s=float(instants_s[end]) if end < len(row) else None,
        )

"""Do two load workers carry twice what one core does? ``python -m benchmarks.load_workers``.

A master and two workers play twice the rate that one process is given at the most
(`harness.load.process.SHARD_RATE_PER_S`); beside them, one process on one core plays the same.
Unlike in `load_driver`, the target has no core of its own: on a machine of two it shares both with
the workers. Then each is driven faster until its start lag is beyond the limit.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from benchmarks.cheap_target import cheap_target
from benchmarks.load_driver import (
    START_LAG_P99_LIMIT_S,
    Played,
    Row,
    best,
    play,
    real_time_priority,
)
from harness.load import Load, LoadRun, Workers, WorkersRun
from harness.load.process import SHARD_RATE_PER_S

WORKERS = 2
RATE_PER_S = WORKERS * SHARD_RATE_PER_S
LENGTH_S = 5.0
STEP_PER_S = 500.0
HIGHEST_TRIED_PER_S = 6000.0
STEP_LENGTH_S = 2.0
RATE_TOLERANCE = 0.02


def measure() -> list[Row]:
    """All figures; takes about a minute and wants two cores."""

    def unheard(name: str, state: str, detail: Mapping[str, Any]) -> None:
        """What happens to the workers shows in what they played."""

    two = partial(WorkersRun, workers=Workers(WORKERS), on_event=unheard)
    with real_time_priority(), cheap_target() as port:
        shared = best(port, rate_per_s=RATE_PER_S, length_s=LENGTH_S, kind=two)
        with _one_core():
            alone = play(port, rate_per_s=RATE_PER_S, length_s=LENGTH_S)
            alone_per_s = _highest_rate(port, LoadRun)
        shared_per_s = _highest_rate(port, two)
    return [
        *_rows(shared, alone),
        Row("highest rate tried within the limit, one process [1/s]", alone_per_s, None, True),
        Row("highest rate tried within the limit, two workers [1/s]", shared_per_s, None, True),
    ]


@contextlib.contextmanager
def _one_core() -> Iterator[None]:
    """What is started here shares one core."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def _rows(shared: Played, alone: Played) -> list[Row]:
    at, limit_s = f"at {RATE_PER_S:g}/s", START_LAG_P99_LIMIT_S
    p99_s, answered = shared.start_lag_p99_s, shared.ok / shared.scheduled
    rate = LENGTH_S / shared.span_s  # the same arrivals, in more or less time
    return [
        Row(f"start lag p99 {at}, two workers [s]", p99_s, limit_s, p99_s <= limit_s),
        Row(f"start lag p99 {at}, one process on one core [s]", alone.start_lag_p99_s, None, True),
        Row("start lag p99, two workers / one process", p99_s / alone.start_lag_p99_s, None, True),
        Row(
            "rate, two workers / the schedule's (1 ± limit)",
            rate,
            RATE_TOLERANCE,
            abs(rate - 1) <= RATE_TOLERANCE,
        ),
        Row("arrivals answered / scheduled, two workers", answered, 1.0, answered == 1.0),
    ]


def _highest_rate(port: int, kind: Callable[..., Load]) -> float:
    """The last of the rising rates at which the start lag was within the limit, and all answered.

    The first that fails is tried again: other work on the machine only ever adds lag.
    """
    highest_per_s = 0.0
    while highest_per_s < HIGHEST_TRIED_PER_S:
        rate_per_s = highest_per_s + STEP_PER_S
        if not best(port, rate_per_s=rate_per_s, length_s=STEP_LENGTH_S, kind=kind).in_time:
            break
        highest_per_s = rate_per_s
    return highest_per_s


def main() -> int:
    """Print the figures; exit code 1 when a limit is broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load_workers")
    parser.add_argument("--json", action="store_true", help="rows as JSON on standard output")
    as_json = parser.parse_args().json
    rows = measure()
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        for row in rows:
            limit = "" if row.limit is None else f"  (limit {row.limit:g})"
            print(f"{'ok  ' if row.holds else 'FAIL'} {row.name}: {row.value:.6g}{limit}")
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())

"""The figures of claims, on a recording that was written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from harness import measurements
from harness.incident import Claim, read_incident
from harness.measurements import Measured, claimed
from harness.recording import ARRIVALS, REQUESTS, SAMPLES, SESSIONS, Recording, RunInfo
from harness.timemap import build_timemap

YAML = """\
schema: 1
name: by-hand
title: Written by hand
summary: Twenty seconds at true speed.
clock: {starts_at: 2024-05-07T08:50:00Z, duration: 20s}
outage: {begin: 10s, end: 20s}
load:
  client: {timeout: 3s, attempts: 2, patience: 4s}
  phases: [{name: baseline, at: 0s, rate: 1/s}]
replay: {settle: 60s, drain: 4s}
truth:
  trigger: {says: none}
  capacity_defect: {says: none, without: {service.pool.size: 20}}
  accepted_fixes: [none]
expect:
  users_affected: {share: 0.5}
"""


@pytest.fixture
def measured(tmp_path: Path) -> Measured:
    """One arrival a second. From 10 s on every other one fails, twice; the others take 1 s."""
    incident = read_incident(YAML, file="by-hand.yaml")
    arrivals: list[tuple[Any, ...]] = []
    requests: list[tuple[Any, ...]] = []
    for second in range(20):
        wrong = second == 19
        arrivals.append((second, second, float(second), "baseline", "10.16.0.1", wrong))
        replica = f"replica-{1 + second % 2}"
        if wrong:
            requests.append(
                (19, 19, 1, 19.0, 19.1, "http_error", 401, "invalid_credentials", replica)
            )
        elif second >= 10 and second % 2:
            for attempt in (1, 2):
                sent_s = second + attempt - 1.0
                row = (second, second, attempt, sent_s, sent_s + 0.5)
                requests.append((*row, "http_error", 503, "pool_exhausted", replica))
        else:
            took_s = 1.0 if second >= 10 else 0.1
            row = (second, second, 1, float(second), second + took_s)
            requests.append((*row, "ok", 200, "", replica))
    samples = [
        (t + 0.5, target, metric, 'state="used"', value)
        for t in range(20)
        for target, metric, value in (
            ("replica-1", "used", float(t)),
            ("replica-2", "used", 1.0),
            ("replica-1", "seen_total", 2.0 * t),
        )
    ]
    recording = Recording(
        directory=tmp_path,
        info=RunInfo("by-hand", 1, status="complete", end_s=24.0),
        incident=incident,
        arrivals=pl.DataFrame(arrivals, schema=ARRIVALS, orient="row"),
        requests=pl.DataFrame(requests, schema=REQUESTS, orient="row"),
        samples=pl.DataFrame(samples, schema=SAMPLES, orient="row"),
        sessions=pl.DataFrame(schema=SESSIONS),
        events=(),
        environment={},
    )
    table = measurements.attempted_logins(measurements.arrival_table(recording))
    return Measured(recording, build_timemap(incident), table)


def claim(**fields: Any) -> Claim:
    return Claim.model_validate({"id": "x", "at_least": 0, **fields})


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"measure": "success"}, 5 / 9),  # the wrong password at 19 s is no login
        ({"measure": "success", "from": "0s", "until": "10s"}, 1.0),
        ({"measure": "success", "replica": "replica-1"}, 1.0),
        ({"measure": "success", "replica": "replica-2"}, 0.0),
        ({"measure": "affected"}, 4 / 9),
        ({"measure": "goodput", "at_least": "0/s"}, 0.5),
        ({"measure": "attempts-per-login"}, (5 + 4 * 2) / 9),
        ({"measure": "latency-p95", "at_least": "0s"}, 1.0),
        ({"measure": "latency-p50", "at_least": "0s", "from": "0s", "until": "10s"}, 0.1),
        ({"measure": "latency-p95", "relative_to": {"from": "0s", "until": "10s"}}, 10.0),
        ({"measure": "answers", "code": "pool_exhausted"}, 8.0),
        ({"measure": "failures-with-code", "code": "pool_exhausted"}, 8 / 9),
        ({"measure": "metric-max", "metric": "used"}, 20.0),
        ({"measure": "metric-min", "metric": "used"}, 11.0),
        ({"measure": "metric-mean", "metric": "used", "target": "replica-2"}, 1.0),
        ({"measure": "metric-max", "metric": "used", "labels": 'state="idle"'}, None),
        ({"measure": "metric-increase", "metric": "seen_total", "until": "15s"}, 10.0),
        ({"measure": "metric-max", "metric": "unheard_of"}, None),
        ({"measure": "success", "replica": "replica-9"}, None),
    ],
)
def test_each_measure(measured: Measured, fields: dict[str, Any], expected: float | None) -> None:
    figure = claimed(claim(**fields), measured)
    assert figure == (None if expected is None else pytest.approx(expected, abs=1e-6))


def test_nothing_to_divide_by_is_not_measured(measured: Measured) -> None:
    fields = {"measure": "metric-increase", "metric": "seen_total"}
    before = {"from": "0s", "until": "100ms"}
    assert claimed(claim(**fields, relative_to=before), measured) is None

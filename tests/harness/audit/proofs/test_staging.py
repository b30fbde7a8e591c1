"""What a proof plays: nobody acts, the surge lasts as it must, and this machine carries it."""

from __future__ import annotations

import pytest

from harness.audit.proofs import Proof, Setting, stage
from harness.errors import UsageError

PLAYED = Proof(
    "PD103",
    "pool-wait-beyond-gateway",
    (
        Setting("service.pool.size", "4", None),
        Setting("gateway.timeout", "1500ms", None),
        Setting("load.phases.surge.rate", "20/s", None),
    ),
    {"service.pool.timeout": "500ms"},
    surge_s=14.0,
)


def test_nobody_acts_and_the_surge_lasts_as_long_as_it_must() -> None:
    incident = stage(PLAYED, {})
    assert incident.timeline == ()
    assert incident.outage.end_s - incident.outage.begin_s == 14
    assert incident.clock.duration_s == incident.outage.end_s
    assert (incident.service.pool.size, incident.service.pool.timeout_s) == (4, 30)
    assert stage(PLAYED, PLAYED.remedy).service.pool.timeout_s == 0.5


def test_values_beyond_the_harness_are_refused() -> None:
    with pytest.raises(UsageError, match="beyond what pool-wait-beyond-gateway can be played"):
        stage(PLAYED, {"service.replicas": "400"})


def test_more_logins_than_the_machine_can_play_are_refused() -> None:
    """It would show its own limits, whatever was audited."""
    with pytest.raises(UsageError, match="20000 logins a second are more than is played here"):
        stage(PLAYED, {"load.phases.surge.rate": "20000/s"})


def test_a_surge_of_minutes_is_not_waited_for() -> None:
    long = Proof("PD103", "pool-wait-beyond-gateway", (), {}, surge_s=900.0)
    with pytest.raises(UsageError, match="900 s"):
        stage(long, {})

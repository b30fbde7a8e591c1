"""What a proof plays: nobody acts, the surge lasts as it must, and this machine carries it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.audit.proofs import Proof, Setting, stage
from harness.audit.proofs.staging import played_here
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


FLEET = replace(
    PLAYED,
    audited=(
        Setting("service.replicas", "12", None),
        Setting("service.pool.size", "4", None),
        Setting("load.phases.surge.rate", "600/s", None, "the peak"),
        Setting("load.phases.baseline.rate", "12/s", None),
    ),
    apart=True,
)


def test_of_a_fleet_that_is_too_large_a_part_is_played_with_its_part_of_the_load() -> None:
    replicas, size, surge, baseline = played_here(FLEET, processors=2).audited
    assert (replicas.value, size.value, surge.value, baseline.value) == ("4", "4", "200/s", "4/s")
    assert replicas.why == "4 of 12 processes, and of the load as much: what this machine plays"
    assert surge.why == "the peak; 4 of 12 parts of 600/s"


def test_processes_without_much_load_are_too_many_as_well() -> None:
    idle = replace(FLEET, audited=(FLEET.audited[0], FLEET.audited[3]))
    assert [each.value for each in played_here(idle, processors=1).audited] == ["8", "8/s"]


@pytest.mark.parametrize(
    ("proof", "processors"),
    [
        pytest.param(FLEET, 6, id="the machine plays it all"),
        pytest.param(replace(FLEET, apart=False), 2, id="they share what is found"),
        pytest.param(replace(FLEET, audited=FLEET.audited[1:]), 2, id="nobody knows how many"),
        pytest.param(
            replace(FLEET, audited=(Setting("service.replicas", "3", None), FLEET.audited[2])),
            1,
            id="not even one can be played",
        ),
    ],
)
def test_else_it_is_played_as_it_is(proof: Proof, processors: int) -> None:
    assert played_here(proof, processors) == proof

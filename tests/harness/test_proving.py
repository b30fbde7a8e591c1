"""A finding is shown by two runs: as audited, and with the remedy."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.audit.proofs import Proof, Setting
from harness.errors import UsageError
from harness.proving import Played, Proven, cured, prove, stage
from tests.untrusted import UntrustedError

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


def trusted(proven: Proven) -> Proven:
    if proven.outcome == "invalid":
        raise UntrustedError(proven.rows)
    return proven


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


@pytest.mark.parametrize(
    ("affected", "trusted"), [(0.0, True), (0.05, True), (0.051, False), (None, False)]
)
def test_a_remedy_that_cures_leaves_nobody_affected(affected: float | None, trusted: bool) -> None:
    """Else something other than the finding limits what was played: a machine, say."""
    row = cured(Played("with the remedy", affected, 0, 0, 7, "", "runs/1"))
    assert (row.affected is not None) == trusted
    if trusted:
        assert row.affected == affected
    elif affected is not None:
        assert "5.1% of the users are affected although" in row.why


def test_a_surge_of_minutes_is_not_waited_for() -> None:
    long = Proof("PD103", "pool-wait-beyond-gateway", (), {}, surge_s=900.0)
    with pytest.raises(UsageError, match="900 s"):
        stage(long, {})


@pytest.mark.slow
def test_the_harm_is_shown_on_real_parts(tmp_path: Path) -> None:
    said: list[str] = []
    proven = trusted(prove(PLAYED, out=tmp_path, said=said.append))
    assert proven.outcome == "pass", said
    audited, remedied = proven.rows
    assert audited.gateway_timeouts > remedied.gateway_timeouts
    written = json.loads((proven.folder / "proof.json").read_text("utf-8"))
    assert written["outcome"] == "pass"
    assert [row["name"] for row in written["rows"]] == ["as audited", "with the remedy"]


@pytest.mark.slow
def test_without_the_defect_no_harm_is_shown(tmp_path: Path) -> None:
    """A pool that gives up well before the gateway, and one that does so a little sooner."""
    settings = (*PLAYED.audited, Setting("service.pool.timeout", "600ms", None))
    sound = replace(PLAYED, audited=settings)
    proven = trusted(prove(sound, out=tmp_path))
    assert proven.outcome == "fail", proven.rows

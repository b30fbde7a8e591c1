"""Did the incident happen as its definition says? One check for each of its expectations.

What was not measured is invalid. So is everything a partial run would have shown later: a share of
users over half an outage says nothing about the outage.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness import measurements
from harness.measurements.pools import TIMEOUTS
from harness.verdicts.evidence import Evidence
from harness.verdicts.model import Check, Outcome

WINDOW_S = 15.0
"""Replay seconds over which the success of logins before and after an event is looked at."""

DECOY_TOLERANCE = 0.12
"""A decoy helped when the success ratio differs by more than this after it."""


def users_affected(evidence: Evidence) -> Check:
    """The share of users who could not log in during the outage."""
    expected = evidence.recording.incident.expect.users_affected
    measured = evidence.users.affected_ratio
    near = measured is not None and abs(measured - expected.share) <= expected.tolerance
    return _check(
        evidence,
        "reproduction.users_affected",
        passed=near,
        expected=f"{expected.share:.2f} ± {expected.tolerance:.2f}",
        measured=measured,
        why="did not reproduce: the share of users affected differs",
    )


def pool_timeouts(evidence: Evidence) -> Check:
    """The pools ran dry: requests timed out waiting for a connection."""
    least = evidence.recording.incident.expect.pool_timeouts_at_least
    counted = measurements.total_increase(
        evidence.recording.samples,
        TIMEOUTS,
        begin_s=evidence.calm[1],
        end_s=evidence.timemap.replay_length_s,
    )
    return _check(
        evidence,
        "reproduction.pool_timeouts",
        passed=counted is not None and counted >= least,
        expected=f">= {least}",
        measured=counted,
        why="did not reproduce: the pools did not run dry",
    )


def calm_before(evidence: Evidence) -> Check:
    """The symptom is absent before the surge."""
    most = evidence.recording.incident.expect.failed_before_surge_at_most
    success = evidence.success_between(*evidence.calm)
    failed = None if success is None else round(1 - success, 6)
    return _check(
        evidence,
        "reproduction.calm_before_surge",
        passed=failed is not None and failed <= most,
        expected=f"<= {most:g} of logins fail",
        measured=failed,
        why="logins failed before there was a surge",
    )


def not_before_fix(evidence: Evidence) -> Check:
    """No recovery before the fix: logins still fail in the stretch that leads up to it."""
    most = evidence.recording.incident.expect.unrecovered_success_at_most
    success = _success_before(evidence, evidence.busy[1])
    return _check(
        evidence,
        "reproduction.no_recovery_before_fix",
        passed=success is not None and success <= most,
        expected=f"<= {most:g} of logins succeed",
        measured=success,
        why="did not reproduce: logins were fine although nothing had been fixed",
    )


def recovered(evidence: Evidence) -> Check:
    """Recovery after the fix: logins succeed from the SLO's recovery to the end."""
    least = evidence.recording.incident.expect.recovered_success_at_least
    mitigated_s = measurements.mitigated_s(evidence.recording)
    if mitigated_s is None:
        return _check(
            evidence,
            "reproduction.recovers_after_fix",
            passed=None,
            expected=f">= {least:g} of logins succeed",
            measured=None,
            why="",
            unmeasured="no fix was completed on the timeline",
        )
    # The users who were waiting when the fix came are served first: half of what is left of the
    # run is theirs, the other half must be well.
    end_s = evidence.timemap.replay_length_s
    success = evidence.success_between((mitigated_s + end_s) / 2, end_s)
    return _check(
        evidence,
        "reproduction.recovers_after_fix",
        passed=None if success is None else success >= least,
        expected=f">= {least:g} of logins succeed",
        measured=success,
        why="the fix did not bring the service back",
        unmeasured="the fix was complete too late for its effect to be seen",
    )


def capacity(evidence: Evidence) -> Check:
    """What the full pools let through, against pool limit / hold time."""
    tolerance = evidence.recording.incident.expect.capacity_tolerance
    predicted, measured = evidence.capacity.predicted_per_s, evidence.capacity.measured_per_s
    passed = None
    if predicted is not None and measured is not None:
        passed = abs(measured / predicted - 1) <= tolerance
    expected = "pool limit / hold time" if predicted is None else f"{predicted:.1f}/s"
    return _check(
        evidence,
        "reproduction.capacity",
        passed=passed,
        expected=f"{expected} ± {tolerance:.0%}",
        measured=measured,
        why="the pools let through something else than pool limit / hold time",
        unmeasured="the pools were never full, so their capacity was not seen",
    )


def decoys(evidence: Evidence) -> Iterator[Check]:
    """Each decoy changed nothing: logins succeed as often after it as before."""
    for event in evidence.recording.events:
        if event.kind != "decoy" or event.state == "begin":
            continue
        before = _success_before(evidence, event.t_s)
        after = evidence.success_between(event.t_s, event.t_s + WINDOW_S)
        change = None if before is None or after is None else round(after - before, 6)
        yield _check(
            evidence,
            f"decoy.{event.name}",
            passed=None if change is None else abs(change) <= DECOY_TOLERANCE,
            expected=f"success changes by <= {DECOY_TOLERANCE:g}",
            measured=change,
            why="it changed something: it is no decoy",
        )


def _success_before(evidence: Evidence, event_s: float) -> float | None:
    """Success of the last logins that were all decided before ``event_s``.

    A login is decided once its user's patience is over; later ones may profit from the event.
    """
    end_s = event_s - evidence.recording.incident.load.client.patience_s
    return evidence.success_between(end_s - WINDOW_S, end_s)


def checks(evidence: Evidence) -> Iterator[Check]:
    """All of them, in the order in which a reader asks."""
    yield users_affected(evidence)
    yield pool_timeouts(evidence)
    yield calm_before(evidence)
    yield not_before_fix(evidence)
    yield from decoys(evidence)
    yield recovered(evidence)
    yield capacity(evidence)


def _check(
    evidence: Evidence,
    check_id: str,
    *,
    passed: bool | None,
    expected: str,
    measured: float | None,
    why: str,
    unmeasured: str = "nothing was measured",
) -> Check:
    """A pass, a fail with its ``why``, or invalid and ``unmeasured`` where a value is missing."""
    outcome: Outcome = "pass" if passed else "fail"
    if measured is None or passed is None:
        outcome, why = "invalid", unmeasured
    if not evidence.complete:
        outcome, why = "invalid", "the run is partial: what it did not reach was not measured"
    return Check(
        id=check_id,
        outcome=outcome,
        expected=expected,
        measured=measured,
        why="" if outcome == "pass" else why,
    )

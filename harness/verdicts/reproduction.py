"""Did the incident happen as its definition says? One check for each of its expectations.

What was not measured is invalid. So is everything a partial run would have shown later: a share of
users over half an outage says nothing about the outage, and neither does one under half a load.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness import measurements
from harness.incident import Claim
from harness.measurements.pools import TIMEOUTS
from harness.verdicts.evidence import Evidence
from harness.verdicts.model import Check, Outcome

Found = Iterator[Check]

WINDOW_S = 12.0
"""Replay seconds over which the success of logins before and after an event is looked at."""

MIN_EFFECT_S = 5.0
"""Replay seconds at the least over which a decoy's effect is looked for."""

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


def pool_timeouts(evidence: Evidence) -> Found:
    """The pools ran dry: requests timed out waiting for a connection."""
    least = evidence.recording.incident.expect.pool_timeouts_at_least
    if least is None:
        return
    counted = measurements.total_increase(
        evidence.recording.samples,
        TIMEOUTS,
        begin_s=evidence.calm[1],
        end_s=evidence.timemap.replay_length_s,
    )
    yield _check(
        evidence,
        "reproduction.pool_timeouts",
        passed=counted is not None and counted >= least,
        expected=f">= {least}",
        measured=counted,
        why="did not reproduce: the pools did not run dry",
    )


def calm_before(evidence: Evidence) -> Found:
    """The symptom is absent from logins that were over before the outage begins."""
    most = evidence.recording.incident.expect.failed_before_surge_at_most
    if most is None or evidence.recording.incident.kind == "benign":
        return
    success = evidence.success_before(evidence.calm[1])
    failed = None if success is None else round(1 - success, 6)
    yield _check(
        evidence,
        "reproduction.calm_before_surge",
        passed=failed is not None and failed <= most,
        expected=f"<= {most:g} of logins fail",
        measured=failed,
        why="logins failed before there was a surge",
    )


def not_before_fix(evidence: Evidence) -> Found:
    """No recovery before the fix: logins still fail in the stretch that leads up to it."""
    most = evidence.recording.incident.expect.unrecovered_success_at_most
    if most is None:
        return
    success = _success_before(evidence, evidence.busy[1])
    yield _check(
        evidence,
        "reproduction.no_recovery_before_fix",
        passed=success is not None and success <= most,
        expected=f"<= {most:g} of logins succeed",
        measured=success,
        why="did not reproduce: logins were fine although nothing had been fixed",
    )


def recovered(evidence: Evidence) -> Found:
    """Recovery after the fix: logins succeed from the SLO's recovery to the end."""
    least = evidence.recording.incident.expect.recovered_success_at_least
    if least is None:
        return
    mitigated_s = measurements.mitigated_s(evidence.recording)
    if mitigated_s is None:
        yield _check(
            evidence,
            "reproduction.recovers_after_fix",
            passed=None,
            expected=f">= {least:g} of logins succeed",
            measured=None,
            why="",
            unmeasured="no fix was completed on the timeline",
        )
        return
    # The users who were waiting when the fix came are served first: half of what is left of the
    # run is theirs, the other half must be well.
    end_s = evidence.timemap.replay_length_s
    success = evidence.success_between((mitigated_s + end_s) / 2, end_s)
    yield _check(
        evidence,
        "reproduction.recovers_after_fix",
        passed=None if success is None else success >= least,
        expected=f">= {least:g} of logins succeed",
        measured=success,
        why="the fix did not bring the service back",
        unmeasured="the fix was complete too late for its effect to be seen",
    )


def capacity(evidence: Evidence) -> Found:
    """What the full pools let through, against pool limit / hold time."""
    tolerance = evidence.recording.incident.expect.capacity_tolerance
    if tolerance is None:
        return
    predicted, measured = evidence.capacity.predicted_per_s, evidence.capacity.measured_per_s
    passed = None
    if predicted is not None and measured is not None:
        passed = abs(measured / predicted - 1) <= tolerance
    expected = "pool limit / hold time" if predicted is None else f"{predicted:.1f}/s"
    yield _check(
        evidence,
        "reproduction.capacity",
        passed=passed,
        expected=f"{expected} ± {tolerance:.0%}",
        measured=measured,
        why="the pools let through something else than pool limit / hold time",
        unmeasured="the pools were never full, so their capacity was not seen",
    )


def slo_holds(evidence: Evidence) -> Found:
    """In a benign run the service stays within its SLO throughout."""
    if evidence.recording.incident.kind != "benign":
        return
    breach_s = evidence.clocks.slo_breach
    yield _check(
        evidence,
        "benign.slo_holds",
        passed=breach_s is None,
        expected="no second in breach",
        measured="none" if breach_s is None else f"breach at {breach_s:g} s",
        why="users were harmed: this is no benign run",
    )


def claims(evidence: Evidence) -> Found:
    """Each figure that the definition expects, within its bounds."""
    for claim in evidence.recording.incident.expect.measured:
        measured = evidence.claimed(claim)
        passed = measured is not None and (
            (claim.least is None or measured >= claim.least)
            and (claim.most is None or measured <= claim.most)
        )
        yield _check(
            evidence,
            f"measured.{claim.id}",
            passed=passed,
            expected=_bounds(claim),
            measured=measured,
            why=f"did not reproduce: {claim.says or claim.measure} lies outside its bounds",
        )


def _bounds(claim: Claim) -> str:
    suffix = {"s": " s", "per_s": "/s"}.get(claim.unit, "")
    times = " times as much" if claim.relative_to else ""
    told = [(">=", claim.least), ("<=", claim.most)]
    return " and ".join(f"{sign} {b:g}{suffix}{times}" for sign, b in told if b is not None)


def decoys(evidence: Evidence) -> Found:
    """Each decoy changed nothing: as many logins succeed after it as before.

    An action is looked at once its settle window is over: clearing a queue is not a cure. A signal
    that lasts is looked at while it lasts.
    """
    for decoy in measurements.decoys(evidence.recording):
        begin_s = decoy.begin.t_s
        before = evidence.served_between(max(0.0, begin_s - WINDOW_S), begin_s)
        after = evidence.served_between(*_effect(decoy, evidence))
        change = None if before is None or after is None else round(after - before, 6)
        yield _check(
            evidence,
            f"decoy.{decoy.name}",
            passed=None if change is None else abs(change) <= DECOY_TOLERANCE,
            expected=f"success changes by <= {DECOY_TOLERANCE:g}",
            measured=change,
            why="it changed something: it is no decoy",
        )


def _effect(decoy: measurements.Decoy, evidence: Evidence) -> tuple[float, float]:
    """The replay seconds in which a decoy would show, if it did anything."""
    if "for_s" in decoy.end.detail:
        from_s = decoy.begin.t_s
        until_s = min(decoy.end.t_s, evidence.next_change_s(decoy.begin))
        return from_s, min(from_s + WINDOW_S, until_s)
    from_s = decoy.end.t_s + float(decoy.end.detail.get("settle_s", 0.0))
    until_s = evidence.next_change_s(decoy.end)
    if until_s - from_s < MIN_EFFECT_S:  # its settle window is all there is to look at
        from_s = max(decoy.end.t_s, until_s - WINDOW_S)
    return from_s, min(from_s + WINDOW_S, until_s)


def _success_before(evidence: Evidence, event_s: float) -> float | None:
    """Success of the last logins that were all decided before ``event_s``.

    A login is decided once its user's patience is over; later ones may profit from the event.
    """
    end_s = event_s - evidence.recording.incident.load.client.patience_s
    return evidence.success_between(end_s - WINDOW_S, end_s)


def checks(evidence: Evidence) -> Found:
    """All that the definition asks for, in the order in which a reader asks."""
    yield users_affected(evidence)
    yield from pool_timeouts(evidence)
    yield from calm_before(evidence)
    yield from not_before_fix(evidence)
    yield from slo_holds(evidence)
    yield from claims(evidence)
    yield from decoys(evidence)
    yield from recovered(evidence)
    yield from capacity(evidence)


def _check(
    evidence: Evidence,
    check_id: str,
    *,
    passed: bool | None,
    expected: str,
    measured: float | str | None,
    why: str,
    unmeasured: str = "nothing was measured",
) -> Check:
    """A pass, a fail with its ``why``, or invalid and ``unmeasured`` where a value is missing."""
    outcome: Outcome = "pass" if passed else "fail"
    if measured is None or passed is None:
        outcome, why = "invalid", unmeasured
    if not evidence.complete:
        outcome, why = "invalid", "the run is partial: what it did not reach was not measured"
    elif evidence.load_lost:
        outcome, why = "invalid", "a load worker was lost: this was not the load that was asked for"
    return Check(
        id=check_id,
        outcome=outcome,
        expected=expected,
        measured=measured,
        why="" if outcome == "pass" else why,
    )

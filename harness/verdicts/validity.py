"""May the measurement be trusted? These checks are pass or invalid: they blame the run, not the
service."""

from __future__ import annotations

import math
from collections.abc import Iterator

import polars as pl

from harness import measurements
from harness.measurements.pools import TIMEOUTS
from harness.verdicts import workers
from harness.verdicts.evidence import Evidence
from harness.verdicts.model import Check, Outcome

MIN_COVERAGE = 0.95
"""Share of the run's seconds in which each part must have been sampled."""

MAX_COUNTER_DRIFT = 0.03
"""Share by which pool timeouts may differ between metrics and clients: a replaced replica takes
the increments since its last scrape with it."""

CUT_OFF = ("upstream_unreachable", "database_unavailable")
"""Answers behind which a session may have been committed: the connection broke on the way back."""


def run_complete(evidence: Evidence) -> Check:
    """The run came to its end, and said so."""
    info = evidence.recording.info
    return Check(
        id="run.complete",
        outcome="pass" if info.status == "complete" else "invalid",
        expected="complete",
        measured=info.status,
        why=info.why or ("" if info.status == "complete" else "the run did not reach its end"),
    )


def parts_alive(evidence: Evidence) -> Check:
    """No part died that nobody had killed on the timeline."""
    died = [
        f"{event.detail.get('part', '?')}: {event.detail.get('why', 'died')}"
        for event in evidence.recording.events
        if event.kind == "lifecycle" and event.name == "part-died"
    ]
    return Check(
        id="run.parts_alive",
        outcome="invalid" if died else "pass",
        expected="0 parts died",
        measured=len(died),
        why="; ".join(died),
    )


def arrivals_conserved(evidence: Evidence) -> Check:
    """Every scheduled arrival ended in exactly one bucket, and attempts add up."""
    broken = measurements.broken_arrivals(evidence.recording)
    counts = evidence.arrivals
    parts = sum(value for name, value in counts if name != "scheduled")
    if parts != counts.scheduled:
        broken.append(f"{counts.scheduled} scheduled, {parts} in buckets")
    if not counts.scheduled:
        broken.append("nothing was scheduled")
    return Check(
        id="load.arrivals_conserved",
        outcome="invalid" if broken else "pass",
        expected=f"{counts.scheduled} in exactly one bucket each",
        measured=parts,
        why="; ".join(broken),
    )


def nothing_shed(evidence: Evidence) -> Check:
    """The generator started every arrival; what it did not start was never measured."""
    shed = evidence.arrivals.shed_by_generator
    return Check(
        id="load.nothing_shed",
        outcome="invalid" if shed else "pass",
        expected="0 arrivals shed by the generator",
        measured=shed,
        why=_why_shed(evidence) if shed else "",
    )


def _why_shed(evidence: Evidence) -> str:
    if evidence.complete:
        return "the load generator could not start them"
    return "the run ended before they were due"


def start_lag(evidence: Evidence) -> Check:
    """Arrivals left when they were meant to."""
    budget_s = evidence.recording.incident.load.start_lag_budget_s
    p99_s = evidence.latency.start_lag.p99
    late = p99_s is None or p99_s > budget_s
    why = "no arrival was sent" if p99_s is None else "the load generator ran late"
    return Check(
        id="load.start_lag",
        outcome="invalid" if late else "pass",
        expected=f"p99 <= {budget_s:g} s",
        measured=p99_s,
        why=why if late else "",
    )


def sampled(evidence: Evidence) -> Check:
    """Each replica, the gateway and the database were seen in nearly every second.

    Seconds in which the timeline itself had taken a part away are not asked for.
    """
    samples = evidence.recording.samples
    seconds = max(1, int(evidence.timemap.replay_length_s))
    up = samples.filter((pl.col("metric") == "up") & (pl.col("time_s") >= 0))
    first_s = up["time_s"].min()
    zero_s = first_s if isinstance(first_s, float) else 0.0
    # Counted from the first tick: ticks near the turn of a second fall to either side of it.
    seen: dict[str, set[int]] = {}
    for target, time_s in up.filter(pl.col("value") == 1).select("target", "time_s").iter_rows():
        seen.setdefault(target, set()).add(round(time_s - zero_s))
    service = evidence.recording.incident.service
    covered = {}
    for part in (*service.replica_names, *service.backup_names, "gateway", "postgres"):
        away = measurements.away_seconds(evidence.recording, part)
        asked = {n for n in range(seconds) if math.floor(n + zero_s) not in away}
        covered[part] = len(seen.get(part, set()) & asked) / max(1, len(asked))
    worst = min(covered, key=covered.__getitem__)
    share = round(covered[worst], 4)
    thin = share < MIN_COVERAGE
    return Check(
        id="recording.sampled",
        outcome="invalid" if thin else "pass",
        expected=f"each part seen in >= {MIN_COVERAGE:.0%} of the seconds",
        measured=share,
        why=f"{worst} was seen least" if thin else "",
    )


def database_agrees(evidence: Evidence) -> Check:
    """Who the clients say is logged in, against the sessions the database holds.

    Every user with a successful login has a session. A user with a session but no success must
    have an attempt whose answer the client never got: the service went on without them.
    """
    recording = evidence.recording
    stored = set(recording.sessions["user"])
    outcome = pl.col("outcome")
    good = set(recording.requests.filter(outcome == "ok")["user"])
    unheard = set(
        recording.requests.filter(
            outcome.is_in(["gateway_timeout", "client_timeout", "in_flight_at_end", "refused"])
            | pl.col("code").is_in(CUT_OFF)
        )["user"]
    )
    lost, unexplained = good - stored, stored - good - unheard
    reasons = []
    if lost:
        reasons.append(f"{len(lost)} users were told they are logged in and have no session")
    if unexplained:
        reasons.append(f"{len(unexplained)} users have a session that no client accounts for")
    if not good and not stored:
        reasons.append("nobody logged in, so there was nothing to compare")
    return Check(
        id="recording.database_agrees",
        outcome="invalid" if reasons else "pass",
        expected=f"{len(good)} users logged in",
        measured=len(stored),
        why="; ".join(reasons),
    )


def metrics_agree(evidence: Evidence) -> Check:
    """Pool timeouts counted at the pools, against the refusals that clients were given."""
    recording = evidence.recording
    end_s = recording.info.end_s or evidence.timemap.replay_length_s
    counted = measurements.total_increase(
        recording.samples, TIMEOUTS, begin_s=-60.0, end_s=end_s + 60
    )
    heard = recording.requests.filter(pl.col("code") == "pool_exhausted").height
    # A client that has left does not hear of its timeout, so the pools may count more.
    unheard = recording.requests.filter(
        pl.col("outcome").is_in(["client_timeout", "gateway_timeout", "in_flight_at_end"])
    ).height
    # A restart takes a process's counters with it before they can be read once more.
    lost = _lost_by_restarts(evidence)
    outcome: Outcome = "pass"
    why = ""
    if counted is None:
        outcome, why = "invalid", "no pool metrics were recorded"
    elif counted < heard * (1 - MAX_COUNTER_DRIFT) - 5 - lost:
        outcome, why = "invalid", "the pools counted fewer timeouts than clients heard of"
    elif counted > (heard + unheard) * (1 + MAX_COUNTER_DRIFT) + 5:
        outcome, why = "invalid", "the pools counted timeouts that no client accounts for"
    return Check(
        id="recording.metrics_agree",
        outcome=outcome,
        expected=f"{heard} pool timeouts heard by clients (up to {unheard} unheard)",
        measured=counted,
        why=why,
    )


def _lost_by_restarts(evidence: Evidence) -> float:
    """Pool timeouts that may have gone uncounted: two seconds' worth for each process ended."""
    restarts = measurements.restarts(evidence.recording)
    if not restarts:
        return 0.0
    return 2 * restarts * measurements.steepest_increase(evidence.recording.samples, TIMEOUTS)


def prometheus_agrees(evidence: Evidence) -> Iterator[Check]:
    """A real Prometheus, where one ran, saw the pools time out as often as the recorder did."""
    recording = evidence.recording
    if not recording.environment.get("prometheus"):
        return
    counts = [
        None
        if samples is None
        else measurements.total_increase(samples, TIMEOUTS, begin_s=-60.0, end_s=math.inf)
        for samples in (recording.samples, recording.prometheus)
    ]
    ours, theirs = counts
    why = ""
    if ours is None or theirs is None:
        why = "one of the two has no pool metrics"
    elif abs(theirs - ours) > MAX_COUNTER_DRIFT * ours + 20 + _lost_by_restarts(evidence):
        why = "the two saw different counts"
    yield Check(
        id="recording.prometheus_agrees",
        outcome="invalid" if why else "pass",
        expected="no pool metrics" if ours is None else f"{ours:g} pool timeouts",
        measured=theirs,
        why=why,
    )


def checks(evidence: Evidence) -> Iterator[Check]:
    """All of them."""
    yield from prometheus_agrees(evidence)
    yield from workers.checks(evidence)
    for check in (
        run_complete,
        parts_alive,
        arrivals_conserved,
        nothing_shed,
        start_lag,
        sampled,
        database_agrees,
        metrics_agree,
    ):
        yield check(evidence)

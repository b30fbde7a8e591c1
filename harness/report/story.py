"""What a run has to say, in words and figures: shared by every format. Judges nothing itself."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from harness import measurements
from harness.incident import Incident
from harness.measurements.pools import PENDING, TIMEOUTS, increase, pool_totals, series
from harness.recording import Recording
from harness.report import words
from harness.report.words import NOT_MEASURED
from harness.timemap import TimeMap, build_timemap
from harness.verdicts import Check, Outcome, Verdict

NEARLY_FULL = 0.9
"""Share of its limit from which on a pool counts as full: a scrape sees moments between logins."""

MOST_REASONS = 3
"""Reasons in the headline; all of them stand with the checks."""

SOURCES = {
    "replay": "replay on real parts: true speed after every event, plateaus shortened",
    "full-length": "full length on real parts: nothing was shortened",
    "twin": "simulation of the same stack: no real part ran",
    "import": "imported from a monitoring system",
}

OUTCOME_WORDS: dict[Outcome, str] = {"pass": "Pass", "fail": "Fail", "invalid": "Invalid"}

CLOCK_WORDS = {
    "surge_start": "Surge starts",
    "first_waiter": "First request waits for a connection",
    "first_pool_timeout": "First pool timeout",
    "slo_breach": "SLO broken",
    "detected": "Detected",
    "mitigated": "Mitigated: the last fix is in place",
    "recovered": "Recovered: the SLO holds to the end",
}


@dataclass(frozen=True)
class PoolFacts:
    """What the pools showed over the run; None where nothing was measured.

    ``timeouts`` as replayed, ``timeouts_weighted`` at the incident's length. ``full_ratio`` is the
    share of seconds between surge and mitigation in which the pools were full, all together;
    ``full_alone`` the replicas whose own pool was, in more than half of them.
    """

    timeouts: float | None
    timeouts_weighted: float | None
    peak_waiting: float | None
    full_ratio: float | None
    full_alone: tuple[str, ...] = ()


@dataclass(frozen=True)
class KeyFigure:
    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class ClockRow:
    """A clock: where it stands, how long after the surge, how finely it can be read."""

    key: str
    label: str
    at_s: float | None
    clock: str
    since_surge: str
    precision: str


@dataclass(frozen=True)
class Story:
    """A recording with its verdict, ready to be told."""

    recording: Recording
    verdict: Verdict
    timemap: TimeMap
    pools: PoolFacts

    @property
    def incident(self) -> Incident:
        return self.recording.incident

    @property
    def length_s(self) -> float:
        return self.timemap.replay_length_s


def tell(recording: Recording, verdict: Verdict) -> Story:
    """Everything the formats share, computed once."""
    full_length = recording.info.source == "full-length"
    timemap = build_timemap(recording.incident, full_length=full_length)
    return Story(recording, verdict, timemap, _pool_facts(recording, timemap))


def _pool_facts(recording: Recording, timemap: TimeMap) -> PoolFacts:
    samples = recording.samples
    grown = increase(series(samples, TIMEOUTS)).filter(pl.col("growth") > 0)
    counted = series(samples, TIMEOUTS).height > 0
    weighted = sum(
        growth * timemap.weight(time_s)
        for time_s, growth in grown.select("time_s", "growth").iter_rows()
    )
    totals = pool_totals(samples).filter(pl.col("limit") > 0)
    surge_s = measurements.surge_s(recording, timemap) or 0.0
    fix_s = measurements.first_fix_s(recording) or timemap.replay_length_s
    busy = totals.filter((pl.col("second") >= surge_s) & (pl.col("second") < fix_s))
    full = busy.filter(pl.col("used") >= pl.col("limit") * NEARLY_FULL)
    waiting = totals["pending"].max() if series(samples, PENDING).height else None
    return PoolFacts(
        timeouts=float(grown["growth"].sum()) if counted else None,
        timeouts_weighted=float(weighted) if counted else None,
        peak_waiting=float(waiting) if isinstance(waiting, int | float) else None,
        full_ratio=full.height / busy.height if busy.height else None,
        full_alone=_full_alone(recording, surge_s, fix_s),
    )


def _full_alone(recording: Recording, begin_s: float, end_s: float) -> tuple[str, ...]:
    """The replicas whose own pool was full in more than half of these replay seconds."""
    inside = recording.samples.filter(pl.col("time_s").is_between(begin_s, end_s))
    found = []
    for name in recording.incident.service.replica_names:
        totals = pool_totals(inside.filter(pl.col("target") == name)).filter(pl.col("limit") > 0)
        full = totals.filter(pl.col("used") >= pl.col("limit") * NEARLY_FULL)
        if totals.height and full.height > totals.height / 2:
            found.append(name)
    return tuple(found)


def lead(story: Story) -> str:
    """The verdict in one line: what the checks came to."""
    checks = story.verdict.checks
    of = {kind: [check for check in checks if check.outcome == kind] for kind in OUTCOME_WORDS}
    if story.verdict.outcome == "pass":
        shown = "Healthy" if story.incident.kind == "benign" else "Reproduced"
        return f"{shown}: all {words.plural(len(checks), 'check')} passed."
    if story.verdict.outcome == "fail":
        failed = of["fail"]
        listed = ", ".join(check_words(check) for check in failed)
        return f"Not as expected: {len(failed)} of {len(checks)} checks failed ({listed})."
    reasons: dict[str, str] = {}
    for check in of["invalid"]:
        reasons.setdefault(check.why, check_words(check))
    told = [f"{what} – {why}" if why else what for why, what in reasons.items()]
    more = f"; and {len(told) - MOST_REASONS} more" if len(told) > MOST_REASONS else ""
    listed = "; ".join(told[:MOST_REASONS]) or "there was nothing to judge"
    return f"The measurement cannot be trusted: {listed}{more}."


def check_words(check: Check) -> str:
    """``reproduction.users_affected`` as ``users affected``."""
    return check.id.partition(".")[2].replace("_", " ") or check.id


def measured_words(check: Check) -> str:
    """What a check measured, short enough for a table."""
    match check.measured:
        case None:
            return words.NOT_MEASURED
        case float() as value:
            return f"{value:,.4g}".replace(",", "\u202f") if abs(value) < 1e4 else f"{value:.0f}"
        case other:
            return str(other)


def outcome_sentence(story: Story) -> str:
    """What happened to the users and why, in plain words."""
    users, clocks = story.verdict.users, story.verdict.clocks_s
    what = "the run" if story.incident.kind == "benign" else "outage"
    during = f"during {words.duration(_outage_s(story))} of {what}"
    parts = []
    if stopped := _stopped_clock(story):
        parts.append(f"The run ended early, at {stopped} of the incident")
        during = "up to then"
    if users.affected_ratio is None:
        head = "Whether users could log in was not measured"
    elif users.affected_ratio == 0:
        head = f"Every user could log in{' up to then' if stopped else ''}"
    else:
        head = f"{words.percent(users.affected_ratio)} of users could not log in {during}"
    parts.append(head + _pool_clause(story))
    parts.append(_slo_words(story))
    if clocks.slo_breach is None and stopped:
        parts.pop()
    return ". ".join(parts) + "."


def _stopped_clock(story: Story) -> str:
    """The incident's clock at which a partial run ended; empty for a complete one."""
    info = story.recording.info
    if info.status == "complete":
        return ""
    end_s = min(info.end_s or 0.0, story.length_s)
    return words.clock(story.incident, story.timemap.to_incident_s(end_s))


def _slo_words(story: Story) -> str:
    clocks = story.verdict.clocks_s
    if clocks.slo_breach is None:
        return "The SLO held throughout"
    if clocks.recovered is None:
        return "It did not recover before the run ended"
    lasted = words.duration(clocks.recovered - clocks.slo_breach)
    if clocks.mitigated is not None and clocks.mitigated <= clocks.recovered:
        return f"The SLO was broken for {lasted}, until the fix was in"
    return f"The SLO was broken for {lasted}"


def _outage_s(story: Story) -> float:
    outage = story.incident.outage
    return outage.end_s - outage.begin_s


def _pool_clause(story: Story) -> str:
    """`: the pools … were full …`, as far as that was measured."""
    service, surge = story.incident.service, story.incident.surge
    by_then = story.incident.pool_at(story.incident.outage.begin_s)
    pool = words.pool(by_then.size, by_then.max_overflow)
    whose = f"the connection pools ({words.plural(service.replicas, 'replica')} × {pool})"
    full = story.pools.full_ratio
    if full is None:
        return f"; how full {whose} were was not measured"
    alone = story.pools.full_alone
    if full < 0.5 and alone and len(alone) < service.replicas:
        return f": of {whose}, {words.listed(alone)} had a full one"
    if full == 0:
        return f"; {whose} were never full"
    if full < 0.5:
        return f"; {whose} were full in {words.percent(full)} of the seconds of the surge"
    measured = story.verdict.capacity.measured_per_s
    if measured is None or surge is None:
        return f": {whose} were full"
    return (
        f": {whose} were full and let {round(measured)} logins a second through "
        f"where {round(surge.rate_per_s)} were asked for"
    )


def key_figures(story: Story) -> tuple[KeyFigure, ...]:
    """The handful of numbers that a reader looks for first."""
    verdict, pools = story.verdict, story.pools
    users, clocks, capacity = verdict.users, verdict.clocks_s, verdict.capacity
    replayed = users.replayed
    slo, slo_note = "it held", "no second was bad"
    if clocks.slo_breach is not None:
        slo, slo_note = "no recovery", f"from {words.clock(story.incident, clocks.slo_breach)} on"
    if clocks.slo_breach is not None and clocks.recovered is not None:
        slo = words.duration(clocks.recovered - clocks.slo_breach)
        slo_note = "incident time, to the last bad second"
    return (
        KeyFigure(
            "Users affected, so far" if _stopped_clock(story) else "Users affected",
            words.percent(users.affected_ratio),
            f"weighted; as replayed {words.number(replayed.affected)} of "
            f"{words.number(replayed.attempted)}",
        ),
        KeyFigure("SLO broken for", slo, slo_note),
        KeyFigure(
            "Capacity when full",
            words.rate(capacity.measured_per_s),
            f"predicted {words.rate(capacity.predicted_per_s)}",
        ),
        KeyFigure(
            "Pool timeouts",
            NOT_MEASURED if pools.timeouts is None else words.number(pools.timeouts),
            ""
            if pools.timeouts_weighted is None
            else f"≈ {words.number(pools.timeouts_weighted)} at full length",
        ),
        KeyFigure(
            "Waiting at once",
            NOT_MEASURED if pools.peak_waiting is None else words.number(pools.peak_waiting),
            "requests without a connection, at most",
        ),
        KeyFigure(
            "Login latency p99",
            words.seconds(verdict.latency_s.from_intended.p99),
            f"retries included; p50 {words.seconds(verdict.latency_s.from_intended.p50)}",
        ),
    )


def clock_rows(story: Story) -> tuple[ClockRow, ...]:
    """The clocks in causal order, each counted from the surge."""
    clocks = story.verdict.clocks_s
    return tuple(
        ClockRow(
            key=key,
            label=label,
            at_s=getattr(clocks, key),
            clock=_clock_words(story, key, getattr(clocks, key)),
            since_surge=_since(getattr(clocks, key), clocks.surge_start, key),
            precision=_precision(story, getattr(clocks, key)),
        )
        for key, label in CLOCK_WORDS.items()
    )


def _clock_words(story: Story, key: str, at_s: float | None) -> str:
    if at_s is not None:
        return words.clock(story.incident, at_s)
    pool_metric = {"first_waiter": PENDING, "first_pool_timeout": TIMEOUTS}.get(key)
    if pool_metric and not series(story.recording.samples, pool_metric).height:
        return NOT_MEASURED
    if story.recording.info.status != "complete":
        return "not reached"
    return words.DID_NOT_HAPPEN


def _since(at_s: float | None, surge_s: float | None, key: str) -> str:
    if at_s is None or surge_s is None or key == "surge_start":
        return ""
    delta_s = at_s - surge_s
    if abs(delta_s) < 1:
        return "with the surge" if delta_s == 0 else "within a second of the surge"
    return f"{words.duration(round(abs(delta_s)))} {'after' if delta_s > 0 else 'before'} the surge"


def _precision(story: Story, at_s: float | None) -> str:
    """How finely an instant can be read: in a plateau one second of replay stands for many."""
    if at_s is None:
        return ""
    weight = story.timemap.weight(story.timemap.to_replay_s(at_s))
    return "to 1 s" if weight <= 1.5 else f"to {words.duration(weight)} (shortened plateau)"

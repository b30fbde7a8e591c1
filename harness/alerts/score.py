"""How good a rule is: did it fire in time, on the right runs, and on no other? Pure.

Times are lab seconds (`harness.alerts.expansion`). A notification leaves ``group_wait_s`` after an
alert fires, Alertmanager's delay before the first message of a group; a lead counts from there.

* **lead time**: the first harm to users minus the notification. Positive: the page came first.
* **reset time**: the last resolution minus the recovery of service, if it came later than that.
* **precision**: of the recordings on which it fired, those that are incidents.
* **recall**: of the incidents, those on which it fired before the outage was over.

Both are shares of recordings, with Wilson's score interval (E. B. Wilson, 1927) at 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.alerts.rules import Rule
from harness.alerts.timelines import RuleResult

State = Literal["fired", "silent", "unknown"]
Status = Literal["ok", "dead", "stuck"]

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Subject:
    """A recording as a rule is judged on it. Instants in lab seconds, None where nothing happened.

    ``bound_s``: the time from the overload's onset to the first pool timeout if the pool's queue
    alone decided it, T * rho / (rho - 1) with T the pool's timeout and rho the offered load over
    the capacity; None where the load stays below the capacity or that is not known.
    """

    incident: str
    seed: int
    source: str
    benign: bool
    begin_s: float
    end_s: float
    onset_s: float
    outage_end_s: float
    first_pool_timeout_s: float | None
    slo_breach_s: float | None
    recovered_s: float | None
    bound_s: float | None = None
    held_s: float = 0.0
    sight_s: float = 0.0
    """What an evaluation may lag behind what happens: a scrape and an evaluation interval."""

    @property
    def length_s(self) -> float:
        return self.end_s - self.begin_s

    @property
    def harm_s(self) -> float | None:
        """The first harm to users: a pool timeout or the breach of the SLO."""
        harms = [at for at in (self.first_pool_timeout_s, self.slo_breach_s) if at is not None]
        return min(harms, default=None)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A rule on one recording. Seconds; leads count from the notification."""

    subject: Subject
    state: State
    why: str = ""
    fired_s: float | None = None
    resolved_s: float | None = None
    notified_s: float | None = None
    lead_s: float | None = None
    lead_to_pool_timeout_s: float | None = None
    lead_to_slo_breach_s: float | None = None
    reset_s: float | None = None
    pages: int = 0
    from_start: bool = False
    """It fired before anything happened: what it speaks of was there from the beginning."""

    @property
    def in_time(self) -> bool:
        """It fired before the outage was over, as far as a scraper can see that."""
        over_s = max(self.subject.outage_end_s, self.subject.recovered_s or 0.0)
        return (
            self.state == "fired"
            and self.fired_s is not None
            and self.fired_s <= over_s + self.subject.sight_s
        )


@dataclass(frozen=True, slots=True)
class Share:
    """``hits`` of ``of``, and its interval."""

    hits: int
    of: int

    @property
    def value(self) -> float | None:
        return self.hits / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float] | None:
        if not self.of:
            return None
        # Imported here: it takes a second, and a run that evaluates rules asks for no interval.
        from scipy.stats import binomtest

        found = binomtest(self.hits, self.of).proportion_ci(CONFIDENCE, method="wilson")
        return float(found.low), float(found.high)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Whether a rule can fire at all, and fall silent again, and why not."""

    status: Status = "ok"
    why: str = ""


@dataclass(frozen=True)
class RuleScore:
    """A rule on every recording."""

    rule: Rule
    diagnosis: Diagnosis
    outcomes: tuple[Outcome, ...]

    @property
    def precision(self) -> Share:
        fired = [outcome for outcome in self.outcomes if outcome.state == "fired"]
        return Share(sum(not outcome.subject.benign for outcome in fired), len(fired))

    @property
    def recall(self) -> Share:
        known = [
            outcome
            for outcome in self.outcomes
            if not outcome.subject.benign and outcome.state != "unknown"
        ]
        return Share(sum(outcome.in_time for outcome in known), len(known))


def outcome_of(rule: Rule, window_s: float, result: RuleResult, subject: Subject, *,
               group_wait_s: float) -> Outcome:  # fmt: skip
    """How ``rule`` did on one recording; ``window_s`` is how far back it looks, all told."""
    if result.failed:
        return Outcome(subject, "unknown", why=result.failed)
    needed_s = window_s + rule.for_s
    fired = sorted(result.firings, key=lambda firing: firing.fired_s)
    if not fired:
        if needed_s > subject.length_s:
            return Outcome(
                subject,
                "unknown",
                why=f"the recording's {subject.length_s:g} s are shorter than the "
                f"{needed_s:g} s that the rule looks back and waits",
            )
        return Outcome(subject, "silent")
    first = fired[0].fired_s
    ends = [firing.resolved_s for firing in fired]
    open_ended = any(end is None for end in ends)
    resolved = None if open_ended else max(end for end in ends if end is not None)
    from_start = fired[0].pending_s <= subject.begin_s + subject.sight_s
    # The lead-in is a baseline that is made longer: what fires in the midst of it by chance would
    # have a lead that was never there.
    counted = first if from_start else max(first, 0.0)
    notified = counted + group_wait_s

    def lead_to(harm_s: float | None) -> float | None:
        return None if harm_s is None or subject.benign else round(harm_s - notified, 3)

    reset = None
    if resolved is not None and subject.recovered_s is not None and not subject.benign:
        reset = round(max(0.0, resolved - subject.recovered_s), 3)
    return Outcome(
        subject,
        "fired",
        fired_s=first,
        resolved_s=resolved,
        notified_s=notified,
        lead_s=lead_to(subject.harm_s),
        lead_to_pool_timeout_s=lead_to(subject.first_pool_timeout_s),
        lead_to_slo_breach_s=lead_to(subject.slo_breach_s),
        reset_s=reset,
        pages=len(fired),
        from_start=from_start,
    )


@dataclass(frozen=True, slots=True)
class Coverage:
    """All rules together on one recording: what paged first."""

    subject: Subject
    first: str | None
    lead_s: float | None
    lead_to_pool_timeout_s: float | None
    in_time: bool
    from_start: bool = False


def coverage(scores: Sequence[RuleScore]) -> tuple[Coverage, ...]:
    """For each recording the first alert of any rule."""
    found = []
    for index, outcome in enumerate(scores[0].outcomes if scores else ()):
        fired = [
            (score.outcomes[index].fired_s, score.rule.alert, score.outcomes[index])
            for score in scores
            if score.outcomes[index].state == "fired"
        ]
        first = min(fired, key=lambda each: each[0] or 0.0, default=None)
        found.append(
            Coverage(
                subject=outcome.subject,
                first=first[1] if first else None,
                lead_s=first[2].lead_s if first else None,
                lead_to_pool_timeout_s=first[2].lead_to_pool_timeout_s if first else None,
                in_time=any(each.in_time for _, _, each in fired),
                from_start=first[2].from_start if first else False,
            )
        )
    return tuple(found)


def queue_bound_s(timeout_s: float, offered_per_s: float, capacity_per_s: float) -> float | None:
    """T * rho / (rho - 1): seconds from overload to the first pool timeout.

    An open loop offers rho = offered / capacity > 1 to a FIFO queue. Who arrives at t waits
    (rho - 1) t, so the first whose wait reaches T arrives at T / (rho - 1) and gives up T later.
    None where rho <= 1: the queue does not grow.
    """
    if capacity_per_s <= 0 or not math.isfinite(timeout_s):
        return None
    rho = offered_per_s / capacity_per_s
    return timeout_s * rho / (rho - 1) if rho > 1 else None

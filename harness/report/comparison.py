"""What the incident's document says, beside what was measured of its replay."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness import measurements
from harness.report import words
from harness.report.story import Story
from harness.report.words import NOT_MEASURED
from harness.verdicts import Check


@dataclass(frozen=True)
class Comparison:
    what: str
    document: str
    measured: str


def comparisons(story: Story) -> tuple[Comparison, ...]:
    """What the document says beside what was measured; empty without a document."""
    said = story.incident.postmortem
    if said is None:
        return ()
    return (*_outage_compared(story), *_causes_compared(story))


def _outage_compared(story: Story) -> Iterator[Comparison]:
    said, verdict = story.incident.postmortem, story.verdict
    assert said is not None, "comparisons() asks only where there is a document"
    clocks = verdict.clocks_s
    outage = story.incident.outage
    begin, end = (
        words.clock(story.incident, at_s, with_seconds=False)
        for at_s in (outage.begin_s, outage.end_s)
    )
    lasted = NOT_MEASURED
    if clocks.slo_breach is not None and clocks.recovered is not None:
        lasted = (
            f"{words.duration(clocks.recovered - clocks.slo_breach)} "
            f"({words.clock(story.incident, clocks.slo_breach)}–"
            f"{words.clock(story.incident, clocks.recovered)})"
        )
    elif clocks.slo_breach is None:
        lasted = "the SLO was not broken"
    elif clocks.recovered is None:
        lasted = f"from {words.clock(story.incident, clocks.slo_breach)}, not recovered"
    yield Comparison("Outage", f"{words.duration(said.duration_s)} ({begin}–{end})", lasted)
    yield Comparison(
        "Users unable to log in",
        f"about {said.users_affected * 100:.0f} %",
        words.percent(verdict.users.affected_ratio),
    )


def _causes_compared(story: Story) -> Iterator[Comparison]:
    said, pools, capacity = story.incident.postmortem, story.pools, story.verdict.capacity
    assert said is not None, "comparisons() asks only where there is a document"
    exhausted = NOT_MEASURED
    if pools.full_ratio is not None and pools.timeouts is not None:
        exhausted = (
            f"pools full in {pools.full_ratio * 100:.0f} % of the seconds before the fix, up to "
            f"{words.number(pools.peak_waiting or 0)} requests waiting, "
            f"{words.number(pools.timeouts)} pool timeouts in the replay"
        )
        if capacity.measured_per_s is not None:
            exhausted += f", {words.rate(capacity.measured_per_s)} let through"
    yield Comparison("Root cause", said.root_cause, exhausted)
    for check in story.verdict.checks:
        if check.id.startswith("decoy."):
            yield Comparison(
                f"Theory: {check.id.removeprefix('decoy.')}",
                _decoy_words(story, check.id.removeprefix("decoy.")),
                f"success of logins changed by {_points(check)}",
            )
    fixed = next((c for c in story.verdict.checks if c.id.endswith("recovers_after_fix")), None)
    share = fixed.measured if fixed else None
    yield Comparison(
        "Resolution",
        said.resolution,
        f"{words.percent(share)} of logins succeed after the fix"
        if isinstance(share, float)
        else NOT_MEASURED,
    )


def _points(check: Check) -> str:
    if not isinstance(check.measured, int | float):
        return NOT_MEASURED
    return f"{check.measured * 100:+.1f} percentage points"


def _decoy_words(story: Story, name: str) -> str:
    played = measurements.decoys(story.recording)
    return next((str(d.end.detail.get("says", "")) for d in played if d.name == name), "")

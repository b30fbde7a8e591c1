"""Scores and requirements on hand-written outcomes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.alerts.requirements import check, read_requirement
from harness.alerts.rules import Rule
from harness.alerts.score import (
    Diagnosis,
    Outcome,
    RuleScore,
    Share,
    Subject,
    coverage,
    outcome_of,
    queue_bound_s,
)
from harness.alerts.series import labels_of
from harness.alerts.states import Firing
from harness.alerts.timelines import AlertSeries, RuleResult
from harness.errors import UsageError

RULE = Rule(expr="x > 1", file="f.yml", line=3, group="g", alert="A", for_s=60)
INCIDENT = Subject(
    incident="outage", seed=1, source="replay", benign=False, begin_s=-3600, end_s=3000,
    onset_s=600, outage_end_s=1800, first_pool_timeout_s=660, slo_breach_s=640, recovered_s=1900,
    sight_s=30,
)  # fmt: skip
BENIGN = replace(
    INCIDENT, incident="calm", benign=True, first_pool_timeout_s=None, slo_breach_s=None,
    recovered_s=None,
)  # fmt: skip


def fired(*stretches: tuple[float, float, float | None]) -> RuleResult:
    firings = tuple(Firing(*stretch) for stretch in stretches)
    return RuleResult((AlertSeries(labels_of({"alertname": "A"}), firings),), 400, 10, 60)


def outcome(result: RuleResult, subject: Subject = INCIDENT, window_s: float = 300) -> Outcome:
    return outcome_of(RULE, window_s, result, subject, group_wait_s=30)


def test_a_lead_counts_from_the_notification_to_the_first_harm() -> None:
    found = outcome(fired((500, 560, 700), (1000, 1060, 2000)))
    assert (found.state, found.fired_s, found.notified_s, found.pages) == ("fired", 560, 590, 2)
    assert found.lead_s == 640 - 590
    assert found.lead_to_pool_timeout_s == 660 - 590
    assert found.lead_to_slo_breach_s == 640 - 590
    assert found.reset_s == 2000 - 1900
    assert found.in_time
    assert not found.from_start


def test_an_alert_that_comes_late_has_a_negative_lead() -> None:
    assert outcome(fired((640, 700, 1850))).lead_s == 640 - 730
    assert outcome(fired((640, 700, 1850))).reset_s == 0


def test_after_the_outage_is_too_late_but_a_scrape_may_lag() -> None:
    assert outcome(fired((1800, 1925, None))).in_time
    late = outcome(fired((1800, 1931, None)))
    assert not late.in_time
    assert (late.resolved_s, late.reset_s) == (None, None)


def test_what_was_there_from_the_beginning_says_so() -> None:
    assert outcome(fired((-3600, -3540, None))).from_start


def test_silence_of_a_short_recording_says_nothing() -> None:
    nothing = RuleResult((), 10, 0, 0)
    assert outcome(nothing).state == "silent"
    short = outcome(nothing, window_s=7000)
    assert short.state == "unknown"
    assert "6600 s are shorter than the 7060 s" in short.why


def test_what_could_not_be_evaluated_is_unknown() -> None:
    failed = outcome(RuleResult((), 0, 0, 0, failed="many-to-many"))
    assert (failed.state, failed.why) == ("unknown", "many-to-many")


def test_a_benign_page_has_no_lead() -> None:
    assert outcome(fired((0, 60, 90)), BENIGN).lead_s is None


def card(*outcomes: Outcome, alert: str = "A") -> RuleScore:
    return RuleScore(replace(RULE, alert=alert), Diagnosis(), outcomes)


def silent(subject: Subject = INCIDENT) -> Outcome:
    return Outcome(subject, "silent")


def test_precision_and_recall_are_shares_of_recordings() -> None:
    score = card(
        outcome(fired((500, 560, 700))), silent(), outcome(fired((0, 60, 90)), BENIGN),
        Outcome(INCIDENT, "unknown", why="?"),
    )  # fmt: skip
    assert (score.precision, score.recall) == (Share(1, 2), Share(1, 2))
    assert card(silent()).precision.value is None


def test_the_interval_is_wilsons() -> None:
    """Figures of Newcombe (1998), table I: 15 of 148 at 95 % by the score method."""
    low, high = Share(15, 148).interval or (0, 0)
    assert (round(low, 4), round(high, 4)) == (0.0624, 0.1605)
    assert Share(0, 0).interval is None


def test_coverage_is_the_first_alert_of_any_rule() -> None:
    early, late = outcome(fired((400, 460, 700))), outcome(fired((500, 560, 700)))
    (found,) = coverage([card(late, alert="B"), card(early, alert="A")])
    assert (found.first, found.lead_s, found.in_time) == ("A", early.lead_s, True)
    (missed,) = coverage([card(silent())])
    assert (missed.first, missed.in_time) == (None, False)


@pytest.mark.parametrize(
    ("timeout_s", "rho", "bound_s"), [(30, 2, 60), (5, 2, 10), (5, 1.5, 15), (5, 1, None)]
)
def test_the_queue_bound_is_t_rho_over_rho_minus_1(
    timeout_s: float, rho: float, bound_s: float | None
) -> None:
    assert queue_bound_s(timeout_s, rho * 100, 100) == bound_s


EARLY = outcome(fired((400, 460, 2000)))


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("lead(A) >= 60s", True),
        ("lead(A)>=2m31s", False),
        ("lead(A, outage) >= 1m", True),
        ("lead(A, calm) >= 1m", None),
        ("reset(A) <= 10m", True),
        ("reset(A) < 100s", False),
        ("recall(all) >= 1", True),
        ("recall(A) >= 100%", True),
        ("precision >= 0.9", True),
        ("silent on benign", True),
        ("A silent on outage", False),
        ("silent on nowhere", None),
        ("fires on outage", True),
        ("A fires on nowhere", None),
    ],
)
def test_requirements(text: str, met: bool | None) -> None:
    found = check(read_requirement(text), [card(EARLY, silent(BENIGN))])
    assert (found.met, bool(found.why)) == (met, True)


def test_an_unknown_benign_outcome_is_no_silence() -> None:
    unknown = Outcome(BENIGN, "unknown", why="too short")
    assert check(read_requirement("silent on benign"), [card(EARLY, unknown)]).met is None


def test_all_rules_together_reach_what_none_reaches_alone() -> None:
    other = replace(INCIDENT, incident="other")
    scores = [
        card(EARLY, silent(other), alert="A"),
        card(silent(), replace(EARLY, subject=other), alert="B"),
    ]
    assert check(read_requirement("recall(all) >= 1"), scores).met
    assert not check(read_requirement("recall >= 1"), scores).met


@pytest.mark.parametrize(
    "text", ["", "lead >= 60s", "lead(A) >= 60", "recall(A) >= 2", "A is good", "lead(A) = 5s"]
)
def test_what_is_no_requirement_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(UsageError, match="silent on benign") as refused:
        read_requirement(text)
    assert refused.value.exit_code == 2


def test_a_requirement_of_an_unknown_alert_names_the_alerts() -> None:
    with pytest.raises(UsageError, match="The alerts are: A"):
        check(read_requirement("lead(B) >= 1s"), [card(EARLY)])


def test_a_lead_in_is_no_lead() -> None:
    """Hours before the incident are its baseline, held; a chance there counts from its start."""
    assert outcome(fired((-2000, -1900, -1800))).lead_s == 640 - 30

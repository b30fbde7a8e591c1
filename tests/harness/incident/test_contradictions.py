"""Definitions whose parts do not fit each other are refused, all problems at once."""

from __future__ import annotations

import pytest

from harness.errors import IncidentError, Problem
from harness.incident import read_incident

YAML = """\
schema: 1
name: small
title: A small outage
summary: For tests.
clock: {starts_at: 2024-05-07T08:50:00Z, duration: 20m}
outage: {begin: 3m, end: 11m}
service: {replicas: 2, pool: {size: 5}}
load:
  phases:
    - {name: baseline, at: 0s, rate: 5/s}
    - {name: surge, at: 3m, rate: 36/s}
timeline:
  - {at: 5m, do: set-pool, size: 8, fix: true}
truth:
  trigger: {says: a surge}
  capacity_defect: {says: the pool, without: {service.pool.size: 20}}
  accepted_fixes: [a larger pool]
expect:
  users_affected: {share: 0.4}
"""


def problems_of(old: str = "", new: str = "", *, yaml: str = YAML) -> list[Problem]:
    assert not old or old in yaml, "the test replaces nothing"
    with pytest.raises(IncidentError) as refused:
        read_incident(yaml.replace(old, new) if old else yaml, file="small.yaml")
    return list(refused.value.problems)


def test_what_the_others_are_made_of_is_accepted() -> None:
    assert read_incident(YAML, file="small.yaml").name == "small"


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("at: 5m, do", "at: 25m, do", 13, "comes after the end of the incident"),
        ("size: 8, fix", "size: 8, only: [replica-7], fix", 13, "no replica is called replica-7"),
        ("do: set-pool, size: 8", "do: redirect", 13, "there is no backup"),
        ("do: set-pool, size: 8", "do: set-pgbouncer, default_pool_size: 9", 13, "no PgBouncer"),
        ("do: set-pool, size: 8", "do: frobnicate", 13, "'frobnicate'"),
        ("size: 8, fix: true", "fix: true", 13, "set-pool changes nothing"),
        ("size: 8, fix: true", "size: 8, fix: true, decoy: true", 13, "a fix is no decoy"),
        (", fix: true}", "}\n  - {at: 19m, do: lock-table, for: 5m}", 14, "lasts beyond the end"),
        ("{share: 0.4}", "{share: 1.4}", 19, "less than or equal to 1"),
        ("end: 11m", "end: 11", 6, "11 has no unit"),
        ("duration: 20m", "duration: 20", 5, "20 has no unit"),
        (
            ", without: {service.pool.size: 20}",
            "",
            16,
            "truth.capacity_defect.without: this field is required",
        ),
        (
            "{service.pool.size: 20}",
            "{service.pool.size: many}",
            16,
            "service.pool.size: Input should be a valid integer",
        ),
        (
            "{service.pool.size: 20}",
            "{timeline.4.size: 20}",
            16,
            "there is no timeline[4] to set",
        ),
    ],
)
def test_each_problem_has_its_line_and_says_what_is_wrong(
    old: str, new: str, line: int, said: str
) -> None:
    problems = problems_of(old, new)
    assert any(p.line == line and said in str(p) for p in problems), [str(p) for p in problems]


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        ("{id: a, measure: success}", "nothing is expected"),
        ("{id: a, measure: happiness, at_least: 1}", "Input should be 'success'"),
        ("{id: a, measure: latency-p95, at_least: 2}", "2 has no unit: write it as 2s"),
        ("{id: a, measure: goodput, at_least: 2}", "2 has no unit: write it as 40/s"),
        ("{id: a, measure: success, at_least: 30}", "30 is no share"),
        ("{id: a, measure: success, at_least: 2s}", "bounded by a plain number"),
        ("{id: a, measure: metric-max, at_least: 2}", "metric-max needs metric"),
        ("{id: a, measure: success, metric: up, at_least: 1}", "success takes no metric"),
        ("{id: a, measure: answers, at_least: 2}", "answers needs code"),
        ("{id: a, measure: success, replica: x, at_least: 1}", "no replica is called x"),
        (
            "{id: a, measure: metric-max, metric: up, target: exporter, at_least: 1}",
            "no target is called exporter",
        ),
        ("{id: a, measure: success, from: 9m, until: 3m, at_least: 1}", "ends before it begins"),
        ("{id: a, measure: success, from: 2h, at_least: 1}", "after the end of the incident"),
    ],
)
def test_an_expectation_that_nothing_measures_is_refused(claim: str, said: str) -> None:
    problems = problems_of(yaml=f"{YAML}  measured:\n    - {claim}\n")
    assert any(said in str(p) and p.line == 21 for p in problems), [str(p) for p in problems]


def test_recovery_cannot_be_expected_without_a_fix() -> None:
    yaml = YAML.replace(", fix: true", "") + "  recovered_success_at_least: 0.9\n"
    (problem,) = problems_of(yaml=yaml)
    assert "nothing on the timeline is a fix" in problem.message


def test_an_incident_without_a_truth_and_a_benign_run_with_one_are_refused() -> None:
    truth = YAML[YAML.index("truth:") : YAML.index("expect:")]
    assert "an incident has a truth" in str(problems_of(truth, "")[0])
    assert "a benign run has no truth" in str(
        problems_of("name: small", "kind: benign\nname: s")[0]
    )


def test_everything_wrong_is_told_at_once() -> None:
    yaml = (
        YAML.replace("at: 5m, do", "at: 25m, do")
        .replace("{share: 0.4}", "{share: 1.4}")
        .replace("duration: 20m", "duration: 20")
        .replace(", without: {service.pool.size: 20}", "")
    )
    fields = {problem.field for problem in problems_of(yaml=yaml)}
    assert fields >= {
        "clock.duration",
        "expect.users_affected.share",
        "truth.capacity_defect.without",
    }


def test_scaled_out_replicas_are_known_from_then_on() -> None:
    later = ", fix: true}\n  - {at: 6m, do: scale-out, add: 1}\n"
    restart = "  - {at: 7m, do: restart, only: [replica-3]}"
    assert read_incident(YAML.replace(", fix: true}", later + restart), file="x").timeline
    earlier = "  - {at: 4m, do: restart, only: [replica-3]}\n  - {at: 5m"
    (problem,) = problems_of("  - {at: 5m", earlier)
    assert "replica-3" in problem.message

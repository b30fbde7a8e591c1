"""Why rules never fire or never fall silent: with answers made up, and with a real Prometheus."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.alerts.diagnosis import Extent, diagnose
from harness.alerts.lab import Asking, score
from harness.alerts.rules import Rule
from harness.alerts.score import Diagnosis
from harness.alerts.states import Firing
from harness.alerts.timelines import AlertSeries, RuleResult
from tests.recordings import synthetic_recording

INSTANTS = 200
NOTHING = Extent(0)
REPLICA = ("instance", "job")


class Answers:
    """Extents by expression: one for every recording, or one a recording. Others yield nothing."""

    def __init__(self, known: Mapping[str, Extent | list[Extent]]) -> None:
        self._known = known

    def __call__(self, expression: str) -> Extent:
        found = self._of(expression)
        if isinstance(found, Extent):
            return found
        there = [each for each in found if each.points] or [NOTHING]
        return Extent(
            sum(each.points for each in found),
            min((each.least for each in there if each.least is not None), default=None),
            max((each.most for each in there if each.most is not None), default=None),
            there[0].labels,
        )

    def on(self, expression: str, number: int) -> Extent:
        found = self._of(expression)
        return found if isinstance(found, Extent) else found[number]

    def _of(self, expression: str) -> Extent | list[Extent]:
        return self._known.get(" ".join(expression.split()), NOTHING)


def some(least: float = 1.0, most: float = 2.0, labels: tuple[str, ...] = REPLICA) -> Extent:
    return Extent(10, least, most, labels)


def rule(expr: str, for_s: float = 0.0) -> Rule:
    return Rule(expr=expr, file="rules.yml", line=1, group="g", alert="Alert", for_s=for_s)


def silent(failed: str = "") -> RuleResult:
    return RuleResult((), 0 if failed else INSTANTS, 0, 0.0, failed)


def held(true: int = INSTANTS, *, fired: bool = True, longest_true_s: float = 600.0) -> RuleResult:
    firings = (Firing(0.0, 0.0, None),) if fired else ()
    return RuleResult((AlertSeries((), firings),), INSTANTS, true, longest_true_s)


def found(
    expr: str,
    known: Mapping[str, Extent | list[Extent]],
    *results: RuleResult,
    for_s: float = 0.0,
    incidents: bool = True,
) -> Diagnosis:
    return diagnose(
        rule(expr, for_s), results or (silent(),), ask=Answers(known), incidents=incidents
    )


def dead(why: str) -> Diagnosis:
    return Diagnosis("dead", why)


# -- series that are not there


def test_a_metric_that_is_nowhere() -> None:
    assert found("a > 1", {}) == dead("missing metric: a is in no recording")


def test_a_matcher_that_fits_no_series() -> None:
    assert found('a{job="x"} > 1', {"a": some()}) == dead(
        'label mismatch: no a matches a{job="x"}; its labels are instance, job'
    )


def test_a_name_that_is_a_pattern() -> None:
    expr = '{__name__=~"a.*"}'
    assert found(f"{expr} > 1", {}) == dead(f"no series match {expr}")


@pytest.mark.parametrize(
    "expr",
    [
        "a > 5 unless on () maintenance == 1",
        "a > 5 and on () absent(maintenance)",
        "(a or b) > 5",
        "sum by (job) (rate(a[5m])) > 5 unless b",
    ],
)
def test_what_may_be_missing_is_not_the_reason(expr: str) -> None:
    diagnosis = found(expr, {"a": some()})
    assert diagnosis.status == "dead"
    assert "missing" not in diagnosis.why
    assert found(expr, {"a": some()}, incidents=False) == Diagnosis()


def test_both_sides_of_an_or_must_be_missing() -> None:
    assert found("(a or b) > 5", {}).why == "missing metric: a is in no recording"


def test_each_alternative_has_its_reason() -> None:
    known = {"a": some(0, 3)}
    assert found("(a > 5) or b > 1", known) == dead(
        "unreachable threshold: a reached 3 at most, > 5 is asked; "
        "and missing metric: b is in no recording"
    )
    # One of them only waits for something worth an alert.
    assert found("(a > 5) or b > 1", known, incidents=False) == Diagnosis()


def test_a_rule_that_prometheus_refuses_everywhere() -> None:
    refused = silent(failed="many-to-many matching not allowed")
    assert found("a / b > 1", {}, refused, refused) == dead("many-to-many matching not allowed")
    assert diagnose(rule("a > 1"), (), ask=Answers({}), incidents=True) == dead(
        "there are no recordings"
    )


# -- sides that do not meet

SIDES = {"sum(a)": some(labels=()), "a": some(), "b": some()}


def test_sides_with_different_labels() -> None:
    known = {**SIDES, "(sum(a)) and on () (b)": some()}
    why = (
        "label mismatch: sum(a) has the labels (none), b has (instance, job), "
        "so nothing is compared"
    )
    assert found("sum(a) > b", known) == dead(why)
    assert found("sum(a) > b", known, incidents=False) == dead(why)
    assert found("sum(a) / b > 1", known) == dead(why)


def test_sides_that_meet_by_on_are_no_mismatch() -> None:
    known = {
        **SIDES,
        "a": some(labels=(*REPLICA, "pool")),
        "(a) and on () (b)": some(),
        "(a) and on (instance) (b)": some(),
    }
    assert found("a > on (instance) b", known).why.startswith("its expression held at no")
    assert found("a > on (instance) group_left () b", known).why.startswith("its expression")
    known["(a) and ignoring (pool) (b)"] = some()
    assert found("a > ignoring (pool) b", known).why.startswith("its expression held at no")


def test_sides_with_the_same_labels_and_other_values() -> None:
    known = {**SIDES, "(a) and on () (b)": some()}
    assert found("a > b", known) == dead(
        "label mismatch: a and b never have the same values of (instance, job), "
        "so nothing is compared"
    )
    assert found("a > on (instance) b", known) == dead(
        "label mismatch: a and b never have the same values of (instance), so nothing is compared"
    )


def test_sides_that_hold_for_different_series_are_no_mismatch() -> None:
    known = {
        **SIDES,
        "a > 1": some(2, 2),
        "b > 1": some(2, 2),
        "(a > 1) and on () (b > 1)": some(),
    }
    assert found("a > 1 and b > 1", known).why == (
        "its expression held at no evaluation of any recording"
    )


def test_sides_that_are_never_there_together_say_nothing() -> None:
    known = {**SIDES, "sum(a) > 1": some(labels=()), "b > 1": some()}
    assert found("sum(a) > 1 and b > 1", known).why == (
        "its expression held at no evaluation of any recording"
    )


def test_a_mismatch_behind_unless_is_not_the_reason() -> None:
    known = {**SIDES, "(sum(a)) and on () (b)": some(), "c": some(0, 3)}
    assert found("c > 5 unless on () sum(a) > b", known).why == (
        "unreachable threshold: c reached 3 at most, > 5 is asked"
    )


# -- thresholds


@pytest.mark.parametrize(
    ("expr", "extent", "said"),
    [
        ("a > 5", some(0, 5), "reached 5 at most, > 5 is asked"),
        ("a >= 5", some(0, 4.5), "reached 4.5 at most, >= 5 is asked"),
        ("a < 1", some(1, 5), "fell to 1 at least, < 1 is asked"),
        ("a <= 1", some(1.25, 5), "fell to 1.25 at least, <= 1 is asked"),
        ("a == 0", some(1, 5), "was between 1 and 5, == 0 is asked"),
        ("a == 0", some(1, 1), "was 1 throughout, == 0 is asked"),
        ("a != 1", some(1, 1), "was 1 throughout, != 1 is asked"),
        ("a > 5", Extent(10, None, None, REPLICA), "was never a finite number, > 5 is asked"),
    ],
)
def test_a_threshold_that_is_not_reached(expr: str, extent: Extent, said: str) -> None:
    assert found(expr, {"a": extent}) == dead(f"unreachable threshold: a {said}")
    assert found(expr, {"a": extent}, incidents=False) == Diagnosis()


@pytest.mark.parametrize("expr", ["a > 1", "a >= 2", "a < 2", "a <= 1", "a == 1.5", "a != 1"])
def test_a_threshold_that_is_reached_is_not_the_reason(expr: str) -> None:
    assert found(f"{expr} and b > 1", {"a": some(), "b": some(0, 0)}).why == (
        "unreachable threshold: b was 0 throughout, > 1 is asked"
    )


def test_a_threshold_behind_unless_is_not_the_reason() -> None:
    known = {"a": some(), "b": some()}
    assert found("a > 1 unless b > 100", known).why == (
        "its expression held at no evaluation of any recording"
    )


# -- rules that hold


def test_a_rule_that_fires_and_falls_silent_is_ok() -> None:
    assert found("a > 1", {"a": some()}, held(50), silent()) == Diagnosis()


def test_a_rule_that_never_holds_for_long_enough() -> None:
    once = held(20, fired=False, longest_true_s=90.0)
    assert found("a > 1", {"a": some()}, once, silent(), for_s=600) == Diagnosis(
        "ok", "never true for long enough: 1m30s at most, for 10m is asked"
    )


def test_a_rule_that_holds_at_every_evaluation_is_stuck() -> None:
    # A rate has no first value.
    assert found("a > 1", {"a": some()}, held(), held(INSTANTS - 1)) == Diagnosis(
        "stuck", "it holds at every evaluation of every recording that has its series"
    )
    assert found("a > 1", {"a": some()}, held(), held(INSTANTS - 10)) == Diagnosis()


def test_a_rule_is_stuck_too_where_others_lack_its_series() -> None:
    known = {"a": [some(), NOTHING]}
    assert found("a > 1", known, held(), silent()).status == "stuck"
    assert found("a > 1", {"a": [some(), some(0, 0)]}, held(), silent()).status == "ok"
    # One side of the alternative is there, and was silent.
    both = {"a": [some(), NOTHING], "b": [some(), some(0, 0)]}
    assert found("a > 1 or b > 1", both, held(), silent()).status == "ok"


def test_recordings_keep_their_numbers_when_one_could_not_be_evaluated() -> None:
    known = {"a": [some(), some(), NOTHING]}
    results = (silent(failed="refused"), held(), silent())
    assert found("a > 1", known, *results).status == "stuck"
    known = {"a": [NOTHING, some(), some(0, 0)]}
    assert found("a > 1", known, *results).status == "ok"


def test_only_a_limit_that_is_0_is_named_as_none() -> None:
    known = {"a": some(), "b": some(0, 0), "c": some(0, 0), "d": some(0, 0)}
    why = "it holds at every evaluation of every recording that has its series"
    assert found("(a + b) / clamp_min(c, 1) > 0.9", known, held()).why == (
        f"{why}; c is 0 throughout, which may mean that there is no limit"
    )
    assert found("a + b >= c + d", known, held()).why == (
        f"{why}; c, d are 0 throughout, which may mean that there is no limit"
    )


# -- with a real Prometheus

COUNT = 'db_client_connection_count{state="used"}'
LABELS = "db_client_connection_pool_name, instance, job"
QUIET = {f"load.phases.{phase}.rate": "2/s" for phase in ("baseline", "surge")}
REAL: Mapping[str, tuple[str, str, str]] = {
    "MissingMetric": ("a_metric_of_nobodys > 5", "dead", "missing metric: a_metric_of_nobodys is"),
    "Matcher": (
        'db_client_connection_count{state="active"} > 5',
        "dead",
        "label mismatch: no db_client_connection_count matches "
        f'db_client_connection_count{{state="active"}}; its labels are {LABELS}, state',
    ),
    "Sides": (
        "sum(db_client_connection_pending_requests) > db_client_connection_max",
        "dead",
        "label mismatch: sum(db_client_connection_pending_requests) has the labels (none), "
        f"db_client_connection_max has ({LABELS})",
    ),
    "Values": (
        "max by (instance) (db_client_connection_max) / pg_settings_max_connections > 0.5",
        "dead",
        "label mismatch: max by (instance) (db_client_connection_max) has the labels (instance)",
    ),
    "SameLabelsOtherValues": (
        "max by (instance) (db_client_connection_max)"
        " > max by (instance) (pg_settings_max_connections)",
        "dead",
        "label mismatch: max by (instance) (db_client_connection_max) and "
        "max by (instance) (pg_settings_max_connections) never have the same values of (instance)",
    ),
    "MeetsByOn": (
        f"{COUNT} > on (instance) db_client_connection_max",
        "dead",
        "its expression held at no evaluation",
    ),
    # Several on the left for one on the right: Prometheus minds only where the comparison holds.
    "ManyMeetByOn": (
        "db_client_connection_count > on (instance) db_client_connection_max",
        "dead",
        "its expression held at no evaluation",
    ),
    "Threshold": (
        f"{COUNT} > 1000 unless on () maintenance == 1",
        "dead",
        f"unreachable threshold: {COUNT} reached ",
    ),
    "NotANumber": (
        f"0 * {COUNT} / (0 * {COUNT}) > 0.5",
        "dead",
        "unreachable threshold: "
        f"0 * {COUNT} / (0 * {COUNT}) was never a finite number, > 0.5 is asked",
    ),
    "Stuck": (
        "db_client_connection_max >= 5",
        "stuck",
        "it holds at every evaluation of every recording that has its series",
    ),
    "Ok": ("db_client_connection_pending_requests > 5", "ok", ""),
    "NotForLong": (
        "db_client_connection_pending_requests > 5",
        "ok",
        "never true for long enough: ",
    ),
}


@pytest.mark.prometheus
def test_a_real_prometheus_gives_the_answers(tmp_path: Path) -> None:
    lines = ["groups:", "  - name: real", "    rules:"]
    for name, (expr, _, _) in REAL.items():
        lines += [f"      - alert: {name}", f"        expr: {expr!r}"]
        lines += ["        for: 12h"] if name == "NotForLong" else []
    rules = tmp_path / "rules.yml"
    rules.write_text("\n".join(lines), "utf-8")
    runs = [
        synthetic_recording(tmp_path / "runs" / "outage"),
        synthetic_recording(tmp_path / "runs" / "quiet", pool_size=20, overrides=QUIET),
    ]

    scored = score(Asking(rules=[rules], recordings=runs))

    assert {each.rule.alert for each in scored.scores} == set(REAL)
    for each in scored.scores:
        _, status, why = REAL[each.rule.alert]
        assert (each.rule.alert, each.diagnosis.status) == (each.rule.alert, status)
        assert each.diagnosis.why.startswith(why), each.diagnosis.why
    (ok,) = (each for each in scored.scores if each.rule.alert == "Ok")
    assert ok.diagnosis.why == ""

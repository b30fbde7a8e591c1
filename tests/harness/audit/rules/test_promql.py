"""What rules read off expressions: only what holds for every Prometheus, and of any expression."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown
from harness.audit.parts import Alert, Recording
from harness.audit.rules import pd139, pd140, pd141, promql
from harness.audit.values import Place
from tests.harness.audit.chains import at, chain, pool

HERE = Place("rules.yml", 1, "expr")


@pytest.mark.parametrize(
    ("expression", "certain", "possible"),
    [
        ("a", {"job", "instance"}, None),
        ("rate(a[5m])", {"job", "instance"}, None),
        ("-a * 2", {"job", "instance"}, None),
        ("sum(a)", set(), set()),
        ("sum by (job, path) (a)", {"job"}, {"job", "path"}),
        ("sum by (job) (sum by (path) (a))", set(), {"job"}),
        ("topk(3, sum by (job) (a))", {"job"}, {"job"}),
        ("sum(a) / sum(b)", set(), set()),
        ("sum(a) > 3 and b", set(), set()),
    ],
)
def test_labels_that_are_certain(
    expression: str, certain: set[str], possible: set[str] | None
) -> None:
    found = promql.labels(promql.tree_of(expression))
    assert found is not None
    assert found.certain == certain
    assert found.possible == possible


@pytest.mark.parametrize(
    "expression",
    [
        "job:a:sum",
        '{__name__="a"}',
        "sum without (x) (a)",
        "label_replace(a, 'x', '$1', 'y', '(.*)')",
        "absent(a)",
        "vector(1)",
        "a / on (job) b",
        "sum(a) / b",
        "count_values('x', a)",
        "histogram_quantile(0.9, a)",
    ],
)
def test_labels_that_cannot_be_told(expression: str) -> None:
    assert promql.labels(promql.tree_of(expression)) is None


def test_metrics_by_way_of_what_is_recorded() -> None:
    recordings = (
        Recording(name="r:one", place=HERE, expression="a + r:two"),
        Recording(name="r:two", place=HERE, expression="b / r:one"),
        Recording(name="r:none", place=HERE, expression="this is no PromQL"),
    )
    records = promql.recorded(Chain(recordings=recordings))
    assert promql.metrics(promql.tree_of("r:one > 3"), records) == {"r:one", "r:two", "a", "b"}
    assert promql.metrics(promql.tree_of("r:one > 3")) == {"r:one"}
    assert "r:none" not in records


METRICS = [
    "db_client_connection_pending_requests", "hikaricp_connections_active", "up", "job:a:sum",
    'db_client_connection_count{state="used"}', "hikaricp_connections_max",
    "pgbouncer_databases_max_connections", '{__name__=~"a.*"}', "1", "-1", "NaN", "vector(1)",
]  # fmt: skip
EXPRESSIONS = st.recursive(
    st.sampled_from(METRICS),
    lambda inner: st.one_of(
        st.builds("({})".format, inner),
        st.builds("-{}".format, inner),
        st.builds("sum by (job) ({})".format, inner),
        st.builds("max without (job) ({})".format, inner),
        st.builds("topk(3, {})".format, inner),
        st.builds("avg_over_time(({})[5m:1m] offset 1m)".format, inner),
        st.builds("abs({})".format, inner),
        st.builds("absent({})".format, inner),
        st.builds("clamp_min({}, 1)".format, inner),
        st.builds("({} {} {})".format, inner, st.sampled_from(
            ["+", "-", "*", "/", "%", "^", ">", "<", ">=", "<=", "==", "!=", "> bool", "and",
             "or", "unless", "/ on (job)", "/ ignoring (x) group_left ()", "atan2"]
        ), inner),
    ),
    max_leaves=8,
)  # fmt: skip


@given(EXPRESSIONS)
def test_no_expression_makes_a_rule_fall(expression: str) -> None:
    whole = chain(pool(threads=25.0), peak_per_s=1000.0, pooler={"max_db_connections": math.inf})
    alert = Alert(name="A", place=HERE, expression=expression, for_s=at(600.0))
    recording = Recording(name="job:a:sum", place=HERE, expression=expression)
    whole = replace(whole, alerts=(alert,), recordings=(recording,))
    for rule in (pd139, pd140, pd141):
        assert all(isinstance(each, Finding | Unknown) for each in rule.check(whole))

"""PD140: limits of 0 that are none, and labels that never match."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.audit.chain import Chain
from harness.audit.finding import Finding
from harness.audit.loaders import prometheus_rules
from harness.audit.parts import Alert, Pooler, Recording
from harness.audit.rules import pd140 as rule
from harness.audit.sources import SourceFile
from harness.audit.values import Place
from tests.harness.audit.chains import NOT_KNOWN, at, finding, said, silent, unknown

RULES = Place("rules.yml", 4, "expr")
ROOT = Path(__file__).parents[4]
NEAR = "a / pgbouncer_databases_max_connections > 0.9"


def asking(expression: str, *poolers: Pooler) -> Chain:
    alert = Alert(name="Near", place=RULES, expression=expression)
    return Chain(alerts=(alert,), poolers=poolers)


def bouncer(**limits: Any) -> Pooler:
    return replace(Pooler(name="pgbouncer", place=Place("pgbouncer.ini")), **limits)


UNLIMITED = bouncer(max_db_connections=at(math.inf), max_user_connections=at(math.inf))


def of_file(path: Path) -> tuple[Alert, ...]:
    return prometheus_rules.load(SourceFile(path, path.name, path.read_text("utf-8"))).alerts


def test_the_public_rule_that_never_fires_is_found() -> None:
    """awesome-prometheus-alerts' PgbouncerMaxConnections: sum() has dropped what the limit has."""
    alerts = of_file(ROOT / "tests" / "harness" / "alerts" / "public" / "pgbouncer.yml")
    never, always = said(rule.check(Chain(alerts=alerts, poolers=(UNLIMITED,))))
    assert isinstance(never, Finding)
    assert isinstance(always, Finding)
    assert "PgbouncerMaxConnections" in never.message
    assert "it never fires" in never.message
    assert "PgbouncerServerConnectionSaturationCritical" in always.message
    assert "pgbouncer_config_max_user_connections, which is 0 for pgbouncer" in always.message


def test_our_own_rules_are_clean() -> None:
    for path in sorted((ROOT / "dashboards" / "prometheus" / "rules").glob("*.yml")):
        read = prometheus_rules.load(SourceFile(path, path.name, path.read_text("utf-8")))
        assert silent(rule, Chain(alerts=read.alerts, recordings=read.recordings))


@pytest.mark.parametrize(
    "expression",
    [
        "sum(a) > b",
        "b < sum(a)",
        "sum(a) > 0.9 * b",
        "sum(rate(a_total[5m])) / b > 0.5",
        "max by (job) (a) >= b",
        "sum by (instance) (a) / sum by (job) (b) > 1",
        "sum by (job) (a) > sum(b)",
        "sum(a) and b",
        "max_over_time(sum(a)[5m:]) > b",
        "topk(3, a) / sum(b) > 0.5",
        "abs(sum(a) - b) > 1",
    ],
)
def test_labels_that_never_match_are_found(expression: str) -> None:
    found = finding(rule, asking(expression))
    assert (found.severity, found.place) == ("warning", RULES)
    assert "series with different labels are not compared" in found.message


@pytest.mark.parametrize(
    "expression",
    [
        "a > b",
        "sum(a) > 3",
        "sum(a) / sum(b) > 0.5",
        "sum by (job) (a) / sum by (job) (b) > 0.5",
        "sum by (x) (a) / sum by (y) (b) > 0.5",
        "sum by (job, instance) (a) > b",
        "sum without (x) (a) > b",
        "sum(a) > on () b",
        "a / ignoring (x) group_left () sum(b) > 1",
        "sum(a) > scalar(b)",
        "sum(a) > vector(3)",
        "sum(a) > job:b:sum",
        "sum(a) > 1 or b > 1",
        "a > 3 unless sum(b)",
        "absent(a) and sum(b) > 1",
        'label_replace(a, "x", "", "", "") > sum(b)',
        "sum(a > b) > 0",
    ],
)
def test_labels_that_match_or_may_are_clean(expression: str) -> None:
    assert silent(rule, asking(expression))


def test_a_side_of_an_or_is_told_as_one() -> None:
    assert "a side of it" in finding(rule, asking("up == 0 or sum(a) > b")).message


def test_what_is_recorded_is_checked_as_well() -> None:
    recorded = Recording(name="pool:used:ratio", place=RULES, expression="sum by (job) (a) / b")
    assert "pool:used:ratio" in finding(rule, Chain(recordings=(recorded,))).message


@pytest.mark.parametrize(
    "expression",
    [
        NEAR,
        "max(a) / max(pgbouncer_databases_max_connections) > 0.9",
        "a > 0.9 * pgbouncer_databases_max_connections",
        "pgbouncer_databases_max_connections < a",
        "100 * (a / clamp_min(pgbouncer_config_max_user_connections, 1)) > 90",
    ],
)
def test_a_limit_of_zero_is_none(expression: str) -> None:
    found = finding(rule, asking(expression, UNLIMITED))
    assert "no limit" in found.message
    assert "unless PgBouncer is told otherwise" in finding(rule, asking(expression)).message


def test_where_there_is_a_limit_it_may_be_reckoned_with() -> None:
    assert silent(rule, asking(NEAR, bouncer(max_db_connections=at(90.0))))


@pytest.mark.parametrize(
    "expression",
    [
        "a / (pgbouncer_databases_max_connections > 0) > 0.9",
        "a / pgbouncer_databases_max_connections > 0.9 and pgbouncer_databases_max_connections > 0",
        "a / pgbouncer_config_max_client_connections > 0.9",
        "pgbouncer_databases_max_connections > 100",
        "pgbouncer_databases_max_connections / 2 > 3",
    ],
)
def test_a_rule_that_leaves_zeros_out_is_clean(expression: str) -> None:
    assert silent(rule, asking(expression, UNLIMITED))


def test_it_says_what_it_lacks() -> None:
    lacking = asking(NEAR, bouncer(max_db_connections=NOT_KNOWN))
    assert "max_db_connections of pgbouncer" in unknown(rule, lacking).needs
    assert silent(rule, asking("this is no PromQL"))

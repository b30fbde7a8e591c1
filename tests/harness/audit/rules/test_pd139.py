"""PD139: thresholds that are never reached."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.audit.chain import Chain
from harness.audit.parts import Alert, Pool, Recording
from harness.audit.rules import pd139 as rule
from harness.audit.values import Place
from tests.harness.audit.chains import NOT_KNOWN, chain, finding, pool, silent, unknown

PENDING = "db_client_connection_pending_requests"
USED = 'db_client_connection_count{state="used"}'
RULES = Place("rules.yml", 4, "expr")


def asking(expression: str, *pools: Pool, **workload: object) -> Chain:
    """Two replicas of one process: 10 connections and, unless said otherwise, 25 threads."""
    whole = chain(*(pools or (pool(threads=25.0),)), workload=dict(workload))
    return replace(whole, alerts=(Alert(name="Many", place=RULES, expression=expression),))


@pytest.mark.parametrize(
    "expression",
    [
        f"{PENDING} > 15",
        f"{PENDING} >= 16",
        f"15 < {PENDING}",
        f"max by (instance) ({PENDING}) > 20",
        f"avg_over_time({PENDING}[5m]) > 20",
        f"max_over_time(sum({PENDING})[5m:]) > 30",
        f"sum({PENDING}) > 30",
        f"2 * {PENDING} > 30",
        f"{PENDING} > 15 and on () up == 1",
        f"({PENDING} > 15) or ({PENDING} > 20)",
        "hikaricp_connections_pending > 15",
        f"{USED} > 10",
        f"sum({USED}) > 20",
        "hikaricp_connections_active > 10",
        "hikaricp_connections_active / hikaricp_connections_max > 1",
        "sum(hikaricp_connections_active) / sum(hikaricp_connections_max) * 100 > 100",
        "hikaricp_connections_active / hikaricp_connections_max >= 1.1",
    ],
)
def test_what_is_never_reached_is_found(expression: str) -> None:
    found = finding(rule, asking(expression))
    assert (found.severity, found.place) == ("warning", RULES)
    assert "Many asks for" in found.message


@pytest.mark.parametrize(
    "expression",
    [
        f"{PENDING} > 14",
        f"{PENDING} >= 15",
        f"{PENDING} < 20",
        f"sum({PENDING}) > 29",
        f"sum_over_time({PENDING}[5m]) > 1000",
        f"{PENDING} > 15 or up == 0",
        f"up == 1 unless {PENDING} > 99",
        f"{PENDING} / 2 > 7",
        f"{USED} > 9",
        'db_client_connection_count{state="idle"} > 99',
        "hikaricp_connections_active / hikaricp_connections_max >= 1",
        "sum(hikaricp_connections_active) / max(hikaricp_connections_max) > 1",
        "hikaricp_connections_usage_seconds_max > 99",
        "hikaricp_connections_timeout_total > 99",
        "http_server_active_requests > 999",
        "pgbouncer_pools_client_waiting_connections > 999",
        "redis_connection_pool_active > 999",
    ],
)
def test_what_may_be_reached_is_clean(expression: str) -> None:
    assert silent(rule, asking(expression))


def test_the_reason_is_told() -> None:
    assert "no more than 15 requests can wait" in finding(rule, asking(f"{PENDING} > 20")).message
    assert (
        "30 requests can wait for a connection in all"
        in finding(rule, asking(f"sum({PENDING}) > 30")).message
    )


def test_a_replica_has_all_of_its_processes() -> None:
    assert silent(rule, asking(f"{PENDING} > 29", processes=2))
    assert finding(rule, asking(f"{PENDING} > 30", processes=2))


def test_the_pool_with_the_most_decides() -> None:
    both = (pool(threads=25.0), pool(threads=60.0))
    assert silent(rule, asking(f"{PENDING} > 49", *both))
    assert finding(rule, asking(f"{PENDING} > 50", *both))


def test_without_a_limiter_any_number_may_wait() -> None:
    assert silent(rule, asking(f"{PENDING} > 999", pool()))
    assert silent(rule, asking(f"{PENDING} > 999", pool(threads=25.0), pool()))


def test_what_is_recorded_is_looked_into() -> None:
    whole = asking("pool:pending > 15")
    recorded = Recording(name="pool:pending", place=RULES, expression=f"max by (job) ({PENDING})")
    assert finding(rule, replace(whole, recordings=(recorded,)))
    circle = replace(recorded, expression="pool:pending")
    assert silent(rule, replace(whole, recordings=(circle,)))


def test_it_says_what_it_lacks() -> None:
    lacks = asking(f"{PENDING} > 15", pool(threads=25.0, size=NOT_KNOWN))
    assert "capacity of auth's pool" in unknown(rule, lacks).needs
    assert silent(rule, asking(f"{PENDING} > 15", processes=NOT_KNOWN))
    assert silent(rule, asking("this is no PromQL"))


def test_no_more_is_used_than_there_are_threads_for() -> None:
    """Four threads before ten connections: the pool looks idle throughout the outage."""
    few = pool(threads=4.0)
    ratio = "hikaricp_connections_active / hikaricp_connections_max"
    assert "no more than 0.4 of" in finding(rule, asking(f"{ratio} > 0.8", few)).message
    assert finding(rule, asking(f"{USED} > 4", few))
    assert silent(rule, asking(f"{ratio} > 0.3", few))
    assert silent(rule, asking(f"{ratio} > 0.8", few, pool(threads=25.0)))
    assert silent(rule, asking(f"{ratio} > 0.8", few, pool(threads=NOT_KNOWN)))


def test_what_is_scaled_is_reckoned_with_as_it_is() -> None:
    """Fifteen may wait: twice as many are 30, and half of them 7.5."""
    assert silent(rule, asking(f"2 * {PENDING} > 29"))
    assert silent(rule, asking(f"{PENDING} / 2 > 7"))
    assert finding(rule, asking(f"{PENDING} / 2 > 7.5"))
    assert silent(rule, asking(f"0 * {PENDING} > 5"))

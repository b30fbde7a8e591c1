"""PD108: dead connections, and a pool that does not look."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from harness.audit.chain import Chain
from harness.audit.parts import Pool, Proxy
from harness.audit.rules import pd108 as rule
from harness.audit.values import Place
from tests.harness.audit.chains import NOT_KNOWN, at, chain, finding, pool, silent, unknown

TRUSTING = {"pre_ping": False, "recycle_s": math.inf}


def behind_a_proxy(*pools: Pool, idle_s: float = 350.0) -> Chain:
    """A proxy that ends idle connections, as a cloud's load balancer does."""
    proxy = Proxy(name="balancer", place=Place("lb.cfg", 3), idle_timeout_s=at(idle_s))
    return replace(chain(*pools), proxies=(proxy,))


def test_a_servers_own_timeout_is_found() -> None:
    found = finding(
        rule,
        chain(
            pool(pre_ping=at(False, 7, "PRE_PING"), recycle_s=math.inf),
            server={"idle_session_timeout_s": 60.0},
        ),
    )
    assert found.severity == "warning"
    assert "postgres ends connections that were idle for 60 s" in found.message
    assert found.place.key == "PRE_PING"


def test_a_proxys_timeout_is_found() -> None:
    assert "balancer" in finding(rule, behind_a_proxy(pool(**TRUSTING))).message


def test_either_remedy_is_enough() -> None:
    assert silent(rule, behind_a_proxy(pool(pre_ping=True, recycle_s=math.inf)))
    assert silent(rule, behind_a_proxy(pool(pre_ping=False, recycle_s=300.0)))


def test_where_nothing_ends_connections_there_is_no_harm() -> None:
    assert silent(rule, chain(pool(**TRUSTING)))
    assert silent(rule, behind_a_proxy(pool(**TRUSTING), idle_s=math.inf))


def test_without_a_pool_there_is_no_harm() -> None:
    assert silent(rule, behind_a_proxy(pool(implementation="none", **TRUSTING)))


def test_pgbouncers_own_timeout_is_another_rules_matter() -> None:
    assert silent(rule, chain(pool(**TRUSTING), pooler={"client_idle_timeout_s": 60.0}))


def test_psycopgs_pool_before_such_a_server_is_another_rules_matter() -> None:
    ends = {"idle_session_timeout_s": 60.0}
    assert silent(rule, chain(pool(implementation="psycopg-pool", **TRUSTING), server=ends))
    behind = behind_a_proxy(pool(implementation="psycopg-pool", **TRUSTING))
    assert "balancer" in finding(rule, behind).message


def test_the_shortest_limit_counts() -> None:
    both = behind_a_proxy(pool(**TRUSTING), idle_s=350.0)
    (server,) = both.servers
    shorter = replace(both, servers=(replace(server, idle_session_timeout_s=at(60.0)),))
    assert "60 s" in finding(rule, shorter).message


def test_it_says_what_it_lacks() -> None:
    lacking = behind_a_proxy(pool(pre_ping=NOT_KNOWN, recycle_s=math.inf))
    assert "pre_ping" in unknown(rule, lacking).needs


@pytest.mark.parametrize(
    ("implementation", "fix"),
    [
        ("sqlalchemy", "pool_recycle below 350 s"),
        ("psycopg-pool", "max_lifetime below 350 s"),
        ("django", "CONN_MAX_AGE below 350 s"),
        ("asyncpg", "max_inactive_connection_lifetime below 350 s"),
        ("unknown", "at an age below 350 s"),
    ],
)
def test_the_fix_is_in_the_products_own_words(implementation: str, fix: str) -> None:
    pool_of_theirs = pool(implementation=implementation, **TRUSTING)
    assert fix in finding(rule, behind_a_proxy(pool_of_theirs)).fix

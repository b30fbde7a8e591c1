"""PD101: more connections than the database grants."""

from __future__ import annotations

import math
from dataclasses import replace

from harness.audit.rules import pd101 as rule
from tests.harness.audit.chains import NOT_KNOWN, at, chain, finding, pool, silent, unknown


def test_the_documented_sum_is_found() -> None:
    """3 replicas × 4 workers × 15 = 180 > 97."""
    broken = chain(pool(size=5.0, max_overflow=10.0), workload={"replicas": 3, "processes": 4})
    found = finding(rule, broken)
    assert found.severity == "error"
    assert "12 × 15 = 180" in found.message
    assert "grants 97" in found.message
    assert "max_connections to 183" in found.fix
    assert found.place.key == "POOL_SIZE"


def test_what_fits_exactly_is_clean() -> None:
    assert silent(rule, chain(pool(size=97.0), workload={"replicas": 1}))
    assert not silent(rule, chain(pool(size=98.0), workload={"replicas": 1}))


def test_reserved_connections_are_nobodys() -> None:
    full = chain(pool(size=97.0), workload={"replicas": 1}, server={"reserved": 1.0})
    assert "grants 96" in finding(rule, full).message


def test_a_pooler_between_is_another_rules_matter() -> None:
    assert silent(rule, chain(pool(size=500.0), pooler={}))


def test_an_unlimited_pool_is_another_rules_matter() -> None:
    assert silent(rule, chain(pool(max_overflow=math.inf)))


def test_one_replica_may_be_too_many_already() -> None:
    """A lower bound is enough: nobody needs to know how many there are."""
    found = finding(rule, chain(pool(size=98.0), workload={"replicas": NOT_KNOWN}))
    assert found.severity == "error"
    assert "at least 1 × 98 = 98" in found.message
    fits = chain(pool(size=97.0), workload={"replicas": NOT_KNOWN})
    assert "the processes of auth" in unknown(rule, fits).needs


def test_a_program_that_may_never_run_is_not_added_to_the_others() -> None:
    """A script beside a service: nothing says that they run at the same time."""
    service = chain(pool(size=48.0))
    script = replace(service.workloads[0], name="import.py", replicas=NOT_KNOWN)
    both = replace(service, workloads=(*service.workloads, script))
    assert "the processes of import.py" in unknown(rule, both).needs
    larger = replace(script, pools=(pool(size=98.0),))
    found = finding(rule, replace(both, workloads=(*service.workloads, larger)))
    assert "at least 1 × 98 = 98" in found.message


def test_a_rolling_deploy_may_be_too_many() -> None:
    """2 × 40 = 80 of 97, and one replica more while a deploy lasts."""
    found = finding(rule, chain(pool(size=40.0), workload={"surge": 1.0}))
    assert found.severity == "warning"
    assert "up to 40 more" in found.message
    assert silent(rule, chain(pool(size=32.0), workload={"surge": 1.0}))


def test_each_server_grants_its_own_pools() -> None:
    one = chain(pool(size=60.0, reaches="postgres"))
    other = replace(one.servers[0], name="other")
    both = replace(one, servers=(*one.servers, other))
    assert "grants 97" in finding(rule, both).message
    spread = replace(
        one.workloads[0],
        pools=(pool(size=40.0, reaches="postgres"), pool(size=40.0, reaches="other")),
    )
    assert silent(rule, replace(both, workloads=(spread,)))


def test_which_server_a_pool_reaches_must_be_known() -> None:
    one = chain(pool(size=60.0))
    both = replace(one, servers=(*one.servers, replace(one.servers[0], name="other")))
    assert "which of the servers" in unknown(rule, both).needs


def test_a_pooler_takes_its_share() -> None:
    """40 through PgBouncer and 2 × 30 past it: 100 of 97."""
    past = pool(size=30.0, reaches="postgres")
    through = pool(size=30.0, reaches="pgbouncer")
    mixed = {"default_pool_size": 40.0}
    assert "2 × 30 + 40 = 100" in finding(rule, chain(past, through, pooler=mixed)).message
    assert silent(rule, chain(past, through, pooler={"default_pool_size": 37.0}))


def test_a_role_may_have_less_than_the_server_grants() -> None:
    limited = pool(size=12.0, role_limit=at(20.0, 31, "CONNECTION LIMIT"))
    found = finding(rule, chain(limited))
    assert found.severity == "error"
    assert found.place == limited.role_limit.place
    assert "2 × 12 = 24" in found.message
    assert "may have 20" in found.message
    assert silent(rule, chain(pool(size=10.0, role_limit=at(20.0))))


def test_a_live_server_shows_who_has_them() -> None:
    live = {"in_use": 90.0}
    full = chain(pool(size=60.0), server=live)
    (server,) = full.servers
    full = replace(full, servers=(replace(server, used_by="shop 80, cron 10"),))
    assert "now 90 are in use: shop 80, cron 10" in finding(rule, full).message


def test_it_says_what_it_lacks() -> None:
    assert "the processes of auth" in unknown(rule, chain(workload={"replicas": NOT_KNOWN})).needs
    assert "capacity" in unknown(rule, chain(pool(size=NOT_KNOWN))).needs
    neither = chain(pool(size=NOT_KNOWN), workload={"replicas": NOT_KNOWN})
    assert "the processes of auth" in unknown(rule, neither).needs
    lacking = chain(server={"max_connections": NOT_KNOWN})
    assert "the connections of postgres" in unknown(rule, lacking).needs

"""What is played to show a finding: exactly the audited values, and a remedy that is one."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from harness.audit.chain import Chain
from harness.audit.finding import Finding
from harness.audit.proofs import can_be_played, chain_of, proof, provable
from harness.audit.values import Place, Value
from harness.errors import UsageError
from harness.incident import load_incident
from tests.harness.audit.chains import HERE, at, chain, pool

SLOW = {"timeout_s": 10.0}
UNSAID: Value[Any] = Value.unknown("no file says")


def finding(rule: str, place: Place = HERE) -> Finding:
    return Finding(rule, "error", place, "it breaks", "mend it")


STALE = chain(
    pool(implementation="psycopg-pool", min_size=8.0, pre_ping=False),
    server={"idle_session_timeout_s": 300.0},
)
STORM = chain(
    pool(timeout_s=30.0), client={"timeout_s": 1.0, "attempts": 3}, peak_per_s=170.0, gateway=SLOW
)
SESSIONS = {"pool_mode": "session", "default_pool_size": 8.0}
TRANSACTIONS = {"pool_mode": "transaction", "default_pool_size": 4.0, "query_wait_timeout_s": 120.0}
CHAINS = {
    "PD101": chain(pool(size=60.0), workload={"hold_s": 1.0}, peak_per_s=150.0),
    "PD102": chain(pool(max_overflow=math.inf), workload={"hold_s": 1.0}),
    "PD108": STALE,
    "PD109": STALE,
    "PD117": STALE,
    "PD116": replace(STORM, slo_s=at(2.0, 1, "--slo")),
    "PD136": STORM,
    "PD137": STORM,
    "PD122": chain(
        pool(size=30.0),
        pooler={"pool_mode": "session", "default_pool_size": 60.0, "max_client_conn": 20.0},
    ),
    "PD103": chain(pool(timeout_s=30.0), gateway={"timeout_s": 3.0}),
    "PD105": chain(pool(threads=4.0)),
    "PD106": chain(),
    "PD107": chain(),
    "PD120": chain(pool(size=30.0), pooler=SESSIONS),
    "PD142": chain(pool(size=3.0), peak_per_s=170.0),
}


@pytest.mark.parametrize("rule", provable())
def test_the_audited_values_make_an_incident_and_so_does_the_remedy(rule: str) -> None:
    found = proof(finding(rule), CHAINS[rule])
    assert load_incident(found.incident, found.overrides())
    assert load_incident(found.incident, {**found.overrides(), **found.remedy})
    assert found.remedy


def test_exactly_the_audited_values_are_played() -> None:
    found = proof(finding("PD142"), CHAINS["PD142"])
    incident = load_incident(found.incident, found.overrides())
    service = incident.service
    assert (service.replicas, service.pool.size, service.pool.max_overflow) == (2, 3, 0)
    assert (service.pool.timeout_s, service.work_s) == (1.0, 0.05)
    assert incident.gateway.timeout_s == 6.0
    surge = incident.surge
    assert surge is not None
    assert surge.rate_per_s == 170
    places = {setting.path: setting.place for setting in found.audited}
    assert places["service.pool.size"] == HERE
    assert places["database.max_connections"] is None, "it is not what the files say"


def test_the_remedy_carries_what_is_asked_for() -> None:
    found = proof(finding("PD142"), CHAINS["PD142"])
    incident = load_incident(found.incident, {**found.overrides(), **found.remedy})
    assert 2 * incident.service.pool.size / 0.05 > 170


def test_the_surge_lasts_until_both_have_given_up() -> None:
    """ρ = 1.8: the first 504 comes 3 s · 1.8 / 0.8 after onset."""
    silent = chain(pool(timeout_s=30.0), gateway={"timeout_s": 3.0}, peak_per_s=UNSAID)
    found = proof(finding("PD103"), silent)
    assert found.surge_s == pytest.approx(2 * 3 * 1.8 / 0.8 + 8)


def test_a_declared_peak_is_what_is_played() -> None:
    found = proof(
        finding("PD101"), chain(pool(size=60.0), workload={"hold_s": 4.0}, peak_per_s=44.0)
    )
    assert found.overrides()["load.phases.surge.rate"] == "44/s"


def test_the_pool_that_the_finding_is_about_is_played() -> None:
    """It is found by the place of one of its values."""
    there = Value.at(7.0, Place("other.env", 9, "SIZE"))
    found = proof(finding("PD106", Place("other.env", 9, "SIZE")), chain(pool(), pool(size=there)))
    assert found.overrides()["service.pool.size"] == "7"


def test_the_pool_before_the_pgbouncer_of_the_finding_is_played() -> None:
    """Another pool connects to the server itself."""
    pools = pool(reaches="postgres"), pool(size=30.0, reaches="pgbouncer")
    size = at(8.0, 4, "default_pool_size")
    given = chain(*pools, pooler={**SESSIONS, "default_pool_size": size})
    assert size.place is not None
    found = proof(finding("PD120", size.place), given)
    assert found.overrides()["service.pool.size"] == "30"


@pytest.mark.parametrize(
    ("rule", "given", "why"),
    [
        ("PD110", chain(), "no incident shows"),
        ("PD142", chain(peak_per_s=UNSAID), "--peak"),
        ("PD142", chain(workload={"replicas": UNSAID}), "the processes"),
        ("PD142", chain(workload={"hold_s": UNSAID}), "--hold"),
        ("PD101", chain(pool(max_overflow=math.inf)), "no limit"),
        ("PD103", chain(gateway={"timeout_s": UNSAID}), "gateway"),
        ("PD120", chain(), "no PgBouncer"),
        ("PD101", Chain(), "no pool"),
        ("PD101", chain(), "asks for no more than the server grants"),
        ("PD101", chain(pool(size=60.0), peak_per_s=44.0), "nobody is refused"),
        ("PD103", chain(), "gives up before the gateway"),
        ("PD105", chain(pool(threads=40.0)), "more threads than connections"),
        ("PD120", chain(pooler={**SESSIONS, "default_pool_size": 20.0}), "no more than PgBouncer"),
        ("PD102", chain(), "has a limit"),
        ("PD102", chain(pool(max_overflow=math.inf, threads=4.0)), "nobody is refused"),
        ("PD102", chain(pool(max_overflow=math.inf), server={"max_connections": UNSAID}), "max_c"),
        ("PD108", chain(), "plays psycopg's pool"),
        ("PD117", chain(pool(implementation="psycopg-pool", pre_ping=True)), "checks its"),
        ("PD117", chain(pool(implementation="psycopg-pool", pre_ping=False)), "min_size"),
        ("PD116", chain(), "--slo"),
        ("PD116", replace(chain(), slo_s=at(2.0)), "refuses before the objective"),
        ("PD120", chain(pooler=TRANSACTIONS), "no connection of a pool keeps"),
        ("PD122", chain(), "no PgBouncer"),
        ("PD122", chain(pooler=TRANSACTIONS), "takes all that the pools may open"),
        ("PD122", chain(pooler={**TRANSACTIONS, "max_client_conn": 9.0}), "only session mode"),
        ("PD122", chain(pooler={**SESSIONS, "max_client_conn": 9.0}), "its queue is full"),
        ("PD136", chain(), "this pair of timeouts"),
        ("PD136", chain(client={"timeout_s": 4.0}), "this pair of timeouts"),
        ("PD137", chain(), "a gateway that tries again"),
        ("PD137", chain(client={"attempts": 3}, peak_per_s=100.0), "carry every attempt"),
        ("PD137", chain(client={"attempts": 3}, peak_per_s=500.0), "not even the peak"),
    ],
)
def test_what_cannot_be_played_is_refused(rule: str, given: Chain, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        proof(finding(rule), given)


def test_threads_that_bind_are_played_and_remedied() -> None:
    """Two processes of two threads carry 80 a second of 170, whatever their pools have."""
    few = chain(pool(size=10.0, threads=2.0), peak_per_s=170.0)
    found = proof(finding("PD142"), few)
    incident = load_incident(found.incident, found.overrides())
    assert incident.service.pool.threads == 2
    assert incident.service.pool.implementation == "sqlalchemy-sync"
    mended = load_incident(found.incident, {**found.overrides(), **found.remedy}).service.pool
    assert mended.threads == mended.size
    assert 2 * mended.size / 0.05 > 170


def test_pools_that_carry_the_peak_are_not_played() -> None:
    with pytest.raises(UsageError, match="these pools carry the peak"):
        proof(finding("PD142"), chain(pool(size=10.0), peak_per_s=400.0))


@pytest.mark.parametrize("rule", provable())
def test_what_the_remedy_gives_leaves_nothing_to_remedy(rule: str) -> None:
    """Each changes something that was audited, or that the incident has: else it shows nothing."""
    found = proof(finding(rule), CHAINS[rule])
    audited = load_incident(found.incident, found.overrides())
    assert load_incident(found.incident, {**found.overrides(), **found.remedy}) != audited


def test_a_surge_that_a_queue_would_bear_is_played_for_a_pool_without_a_limit() -> None:
    """97 connections less 3 of a second each: 47 a process, and 150 a second for a while."""
    found = proof(finding("PD102"), CHAINS["PD102"])
    assert found.overrides()["service.pool.max_overflow"] == "-1"
    assert found.remedy == {"service.pool.size": "47", "service.pool.max_overflow": "0"}
    assert found.overrides()["load.phases.surge.rate"] == "150.4/s"
    assert found.surge_s == pytest.approx(2.0)


def test_without_a_pool_none_is_played_and_one_is_the_remedy() -> None:
    found = proof(finding("PD102"), chain(pool(implementation="none"), workload={"hold_s": 1.0}))
    assert found.overrides()["service.pool.implementation"] == "none"
    assert found.remedy["service.pool.implementation"] == "sqlalchemy-async"


def test_each_connection_that_the_pool_keeps_is_found_dead_once() -> None:
    found = proof(finding("PD117"), STALE)
    incident = load_incident(found.incident, found.overrides())
    assert (incident.service.pool.min_size, incident.service.pool.pre_ping) == (8, False)
    assert found.remedy == {"service.pool.pre_ping": "true"}


def test_an_hour_is_written_as_incidents_have_it() -> None:
    hourly = pool(implementation="psycopg-pool", min_size=8.0, pre_ping=False, recycle_s=3600.0)
    found = proof(finding("PD109"), chain(hourly))
    assert load_incident(found.incident, found.overrides()).service.pool.recycle_s == 3600


def test_the_clients_of_the_finding_are_played() -> None:
    found = proof(finding("PD136"), STORM).overrides()
    assert (found["load.client.timeout"], found["load.client.attempts"]) == ("1000ms", "3")
    assert found["load.phases.after.rate"] == found["load.phases.surge.rate"], "it lasts"


def test_retries_are_played_under_a_load_that_is_carried() -> None:
    found = proof(finding("PD137"), STORM).overrides()
    assert found["load.phases.after.rate"] == found["load.phases.baseline.rate"] == "170/s"
    assert found["load.phases.surge.rate"] == "800/s", "twice 2 × 10 / 0.05 s"


def test_a_proxy_that_ends_busy_connections_is_not_played() -> None:
    busy = Finding("PD109", "warning", HERE, "it ends every connection, busy or not", "mend it")
    with pytest.raises(UsageError, match="no incident ends connections that are busy"):
        proof(busy, STALE)


def test_what_can_be_played_is_told_before_it_is() -> None:
    assert can_be_played(finding("PD117"), [STALE])
    assert not can_be_played(finding("PD117"), [chain()])
    assert not can_be_played(finding("PD131"), [STALE]), "no incident has it"
    assert not can_be_played(finding("PD117"), [])


def test_what_is_beyond_this_machine_is_not_offered() -> None:
    """What is played follows from the values, and can be any number."""
    few = chain(pool(size=60.0), workload={"hold_s": 2.0}, peak_per_s=60.0)
    many = chain(pool(size=60.0), workload={"hold_s": 0.001}, peak_per_s=2e5)
    assert can_be_played(finding("PD101"), [few])
    assert not can_be_played(finding("PD101"), [many])
    assert proof(finding("PD101"), many)


def test_the_chain_of_a_file_is_the_one_that_is_played() -> None:
    """Each overlay is a chain; what stands in none of their workloads' files is the last one's."""
    first, last = chain(), chain(workload={"place": Place("overlays/b/api.yaml")})
    assert chain_of(finding("PD101"), [first, last]) is first
    assert chain_of(finding("PD101", Place("overlays/b/api.yaml", 9)), [first, last]) is last
    assert chain_of(finding("PD101", Place("pgbouncer.ini")), [first, last]) is last

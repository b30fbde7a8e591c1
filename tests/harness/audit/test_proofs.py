"""What is played to show a finding: exactly the audited values, and a remedy that is one."""

from __future__ import annotations

import math
from typing import Any

import pytest

from harness.audit.chain import Chain
from harness.audit.finding import Finding
from harness.audit.proofs import proof, provable
from harness.audit.values import Place, Value
from harness.errors import UsageError
from harness.incident import load_incident
from tests.harness.audit.chains import HERE, chain, pool

UNSAID: Value[Any] = Value.unknown("no file says")


def finding(rule: str, place: Place = HERE) -> Finding:
    return Finding(rule, "error", place, "it breaks", "mend it")


CHAINS = {
    "PD101": chain(pool(size=60.0), workload={"hold_s": 1.0}),
    "PD103": chain(pool(timeout_s=30.0), gateway={"timeout_s": 3.0}),
    "PD105": chain(pool(threads=4.0)),
    "PD106": chain(),
    "PD107": chain(),
    "PD120": chain(pool(size=30.0), pooler={"pool_mode": "session", "default_pool_size": 8.0}),
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
    found = proof(finding("PD101"), chain(pool(size=60.0), peak_per_s=44.0))
    assert found.overrides()["load.phases.surge.rate"] == "44/s"


def test_the_pool_that_the_finding_is_about_is_played() -> None:
    """It is found by the place of one of its values."""
    there = Value.at(7.0, Place("other.env", 9, "SIZE"))
    found = proof(finding("PD106", Place("other.env", 9, "SIZE")), chain(pool(), pool(size=there)))
    assert found.overrides()["service.pool.size"] == "7"


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

"""Queueing formulas against known values, against each other, and against a simulated queue."""

from __future__ import annotations

import heapq
import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import gammaincc, gammaln

from harness.alerts.score import queue_bound_s
from harness.incident import load_incident
from harness.sizing import (
    EPHEMERAL_PORTS,
    Fleet,
    busy_connections,
    client_ports,
    erlang_c,
    first_timeout_s,
    smallest_fleet,
    smallest_pool,
    square_root_staffing,
)

HOLD_S = 0.05


def test_little() -> None:
    assert busy_connections(200, HOLD_S) == pytest.approx(10)


@pytest.mark.parametrize(
    ("pool", "rate_per_s", "waits", "mean_ms", "beyond_100_ms"),
    [
        (15, 240, 0.319, 5.3, 0.0008),
        (15, 270, 0.603, 20.1, 0.030),
        (15, 285, 0.787, 52.5, 0.176),
        (5, 80, 0.554, 27.7, 0.075),
        (30, 540, 0.471, 7.9, 0.0012),
    ],
)
def test_erlang_c_against_tabulated_values(
    pool: int, rate_per_s: float, waits: float, mean_ms: float, beyond_100_ms: float
) -> None:
    fleet = Fleet(rate_per_s, HOLD_S, replicas=1, pool=pool)
    assert fleet.wait_probability == pytest.approx(waits, abs=0.0005)
    assert fleet.mean_wait_s * 1000 == pytest.approx(mean_ms, abs=0.05)
    assert fleet.waits_longer(0.1) == pytest.approx(beyond_100_ms, abs=0.0005)


@given(st.integers(1, 3000), st.floats(0.01, 0.999))
def test_erlang_c_against_the_gamma_function(servers: int, utilisation: float) -> None:
    """The sum in the loss formula is a regularised gamma function: another way to compute it."""
    offered = utilisation * servers
    log_loss = servers * math.log(offered) - offered - gammaln(servers + 1)
    loss = math.exp(log_loss) / float(gammaincc(servers + 1, offered))
    assert erlang_c(servers, offered) == pytest.approx(
        loss / (1 - utilisation * (1 - loss)), rel=1e-6, abs=1e-12
    )


def test_erlang_c_of_a_single_server_is_its_utilisation() -> None:
    assert erlang_c(1, 0.37) == pytest.approx(0.37)


def test_erlang_c_at_its_ends() -> None:
    assert erlang_c(5, 0) == 0
    assert erlang_c(5, 5) == 1
    assert erlang_c(100_000, 1) == 0, "the loss has left the range of doubles"
    for servers, offered in ((0, 1.0), (1, -1.0), (1, math.inf), (1, math.nan)):
        with pytest.raises(ValueError, match="erlangs"):
            erlang_c(servers, offered)


def test_a_simulated_queue_waits_as_predicted() -> None:
    """A million logins through a pool of five at ρ = 0.8, first come, first served."""
    random = np.random.default_rng(1)
    arrivals = np.cumsum(random.exponential(1 / 80, 1_000_000)).tolist()
    holds = random.exponential(HOLD_S, len(arrivals)).tolist()
    free = [0.0] * 5
    waits = []
    for at, hold in zip(arrivals, holds, strict=True):
        begins = max(at, heapq.heappop(free))
        heapq.heappush(free, begins + hold)
        waits.append(begins - at)
    fleet = Fleet(80, HOLD_S, replicas=1, pool=5)
    measured = np.array(waits)
    assert (measured > 0).mean() == pytest.approx(fleet.wait_probability, rel=0.02)
    assert measured.mean() == pytest.approx(fleet.mean_wait_s, rel=0.05)
    assert np.quantile(measured, 0.99) == pytest.approx(fleet.wait_quantile_s(0.99), rel=0.05)


@given(st.floats(0.5, 20_000), st.floats(0.001, 1), st.floats(0, 1))
def test_the_smallest_pool_is_enough_and_one_less_is_not(
    rate_per_s: float, hold_s: float, wait_s: float
) -> None:
    pool = smallest_pool(rate_per_s, hold_s, wait_s=wait_s)
    assert Fleet(rate_per_s, hold_s, 1, pool).waits_longer(wait_s) <= 0.01 * (1 + 1e-9)
    if pool > 1:
        assert Fleet(rate_per_s, hold_s, 1, pool - 1).waits_longer(wait_s) > 0.01 * (1 - 1e-9)


@given(st.floats(1, 5000), st.floats(0.001, 1), st.integers(1, 50))
def test_a_quantile_is_waited_longer_by_the_rest(
    rate_per_s: float, hold_s: float, replicas: int
) -> None:
    fleet = smallest_fleet(rate_per_s, hold_s, replicas=replicas, wait_s=0.1)
    assert fleet.wait_quantile_s(0.99) <= 0.1 * (1 + 1e-9)
    if fleet.wait_probability > 0.01:
        assert fleet.waits_longer(fleet.wait_quantile_s(0.99)) == pytest.approx(0.01)


@pytest.mark.parametrize("rate_per_s", [0, -1, math.inf, math.nan, 1e9])
def test_what_cannot_be_sized_is_refused(rate_per_s: float) -> None:
    with pytest.raises(ValueError, match="busy connections"):
        smallest_pool(rate_per_s, HOLD_S, wait_s=0.1)


def test_split_pools_need_more_than_one() -> None:
    """The same rate over more replicas: each pool has its own queue, and its own idle ones."""
    needed = [
        smallest_fleet(10_000, HOLD_S, replicas=n, wait_s=0.1).connections for n in (1, 10, 100)
    ]
    assert needed == sorted(needed)
    assert needed[0] < needed[-1]


def test_the_same_beta_gives_the_same_chance_to_wait_at_any_size() -> None:
    """Square-root staffing: with β = 1 it tends to Halfin and Whitt's limit, from above."""
    normal = NormalDist()
    limit = 1 / (1 + normal.cdf(1) / normal.pdf(1))
    gaps = [
        erlang_c(round(offered + math.sqrt(offered)), offered) - limit
        for offered in (100, 2500, 10_000, 1_000_000)
    ]
    assert gaps == sorted(gaps, reverse=True)
    assert 0 < gaps[-1] < 0.001
    assert gaps[0] < 0.015
    assert square_root_staffing(100, 110) == 1


@given(st.floats(1.001, 20), st.floats(0.1, 60), st.floats(0.1, 1e5))
def test_the_first_timeout_is_the_alert_labs_bound(
    utilisation: float, timeout_s: float, capacity_per_s: float
) -> None:
    """Two layers state the formula, neither of which may import the other."""
    bound = queue_bound_s(timeout_s, utilisation * capacity_per_s, capacity_per_s)
    assert first_timeout_s(utilisation, timeout_s) == pytest.approx(bound)


def test_no_overload_has_no_first_timeout() -> None:
    assert first_timeout_s(1.0, 30) is None
    assert first_timeout_s(2.0, math.inf) is None
    assert first_timeout_s(2.0, 30) == 60


def test_overload_is_the_same_at_any_size() -> None:
    """The incident's fleet and one a thousand times as large fail in the same way."""
    service = load_incident("undersized-pool").service
    pool = service.pool.limit
    assert pool is not None
    small = Fleet(29, service.work_s, service.replicas, pool)
    large = Fleet(29_000, service.work_s, service.replicas * 1000, pool)
    assert large.utilisation == pytest.approx(small.utilisation)
    assert large.failing == pytest.approx(small.failing)
    assert small.failing == pytest.approx(0.31, abs=0.005)
    assert small.wait_quantile_s(0.99) == small.mean_wait_s == math.inf
    assert small.waits_longer(10) == 1
    assert small.capacity_per_s == pytest.approx(20)


def test_ports_run_out_below_what_a_core_can_send() -> None:
    """Where the clients close first: about 470 logins a second between two addresses."""
    assert client_ports(470, 0.05) < EPHEMERAL_PORTS < client_ports(1000, 0.05)

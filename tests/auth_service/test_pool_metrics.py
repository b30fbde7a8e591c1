"""Measuring any SQLAlchemy engine: one line to start, exact figures, nothing left behind."""

from __future__ import annotations

import asyncio
import gc
import math
import threading
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import create_engine, event
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, NullPool, QueuePool, StaticPool
from sqlalchemy.util import greenlet_spawn

from auth_service.pool_metrics import Histogram, bucket_bounds, instrument
from tests.auth_service.pool_fakes import AsyncFakeServer, FakeServer, Refused, fake_engine

METRICS_PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


@given(st.floats(0.001, 10_000))
def test_buckets_reach_past_the_timeout(timeout_s: float) -> None:
    """A timeout beyond the last bucket would leave every timed-out wait in +Inf."""
    bounds = bucket_bounds(timeout_s)
    assert bounds[-1] > timeout_s
    assert list(bounds) == sorted(set(bounds))


def test_pools_of_ordinary_timeouts_share_one_layout() -> None:
    """Buckets of different layouts cannot be summed over replicas."""
    assert len({bucket_bounds(timeout_s) for timeout_s in (None, 0.5, 5.0, 30.0, 59.0)}) == 1
    assert bucket_bounds(math.inf) == bucket_bounds(None)


@given(st.lists(st.floats(0, 100) | st.sampled_from([0.5, 1.0]), max_size=1200))
def test_a_histogram_counts_like_the_naive_one(seconds: list[float]) -> None:
    """Folding in batches loses and doubles nothing, and bounds are inclusive."""
    histogram = Histogram((0.5, 1.0, 60.0))
    for value in seconds:
        histogram.observe(value)
    state = histogram.state()
    assert state.bounds == (0.5, 1.0, 60.0, math.inf)
    assert state.cumulative == tuple(
        sum(value <= bound for value in seconds) for bound in state.bounds
    )
    assert state.sum == pytest.approx(sum(seconds))
    assert histogram.state() == state


def test_a_histogram_loses_nothing_between_threads() -> None:
    histogram = Histogram((1.0,))

    def observe() -> None:
        for _ in range(5000):
            histogram.observe(0.5)

    threads = [threading.Thread(target=observe) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert histogram.state().count <= 20_000
    assert histogram.state().count == 20_000
    assert histogram.state().sum == 10_000


def exposed(registry: CollectorRegistry) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    }


def test_two_engines_in_one_registry() -> None:
    registry = CollectorRegistry()
    first = fake_engine(FakeServer(), QueuePool, pool_size=5, max_overflow=10)
    second = fake_engine(FakeServer(), QueuePool, pool_size=2, max_overflow=-1)
    instrument(first, "first", registry)
    instrument(second, "second", registry)
    connection = first.raw_connection()
    metrics = exposed(registry)
    assert metrics["db_client_connection_count", "first", "used"] == 1
    assert metrics["db_client_connection_count", "second", "used"] == 0
    assert metrics["db_client_connection_max", "first"] == 15
    assert metrics["db_client_connection_max", "second"] == math.inf
    assert metrics["db_client_connection_idle_max", "second"] == 2
    text = generate_latest(registry).decode()
    assert text.count("# TYPE db_client_connection_count ") == 1
    connection.close()


def test_a_size_of_zero_is_exported_as_no_limit() -> None:
    """A rule that divides by the limit must not divide by SQLAlchemy's 0 for "unlimited"."""
    engine = fake_engine(FakeServer(), QueuePool, pool_size=0)
    state = instrument(engine, "unlimited", CollectorRegistry()).state()
    assert state is not None
    assert (state.limits.open_max, state.limits.idle_max) == (math.inf, math.inf)


def test_the_second_call_returns_the_same_books() -> None:
    registry = CollectorRegistry()
    engine = fake_engine(FakeServer(), QueuePool)
    metrics = instrument(engine, "once", registry)
    assert instrument(engine, "once", registry) is metrics
    engine.dispose()
    assert instrument(engine, "once", registry) is metrics
    with pytest.raises(ValueError, match="measured as 'once' already"):
        instrument(engine, "twice", registry)
    with pytest.raises(ValueError, match="another registry"):
        instrument(engine, "once", CollectorRegistry())


def test_a_name_belongs_to_one_living_pool() -> None:
    registry = CollectorRegistry()
    engine = fake_engine(FakeServer(), QueuePool)
    instrument(engine, "mine", registry)
    other = fake_engine(FakeServer(), QueuePool)
    with pytest.raises(ValueError, match="a name of its own"):
        instrument(other, "mine", registry)
    assert type(other.pool) is QueuePool
    del engine
    gc.collect()
    assert exposed(registry) == {}
    assert instrument(other, "mine", registry).name == "mine"


def test_a_name_taken_by_another_collector_is_refused_at_once() -> None:
    registry = CollectorRegistry()
    Gauge("db_client_connection_max", "Somebody else's.", registry=registry)
    with pytest.raises(ValueError, match="db_client_connection_max"):
        instrument(fake_engine(FakeServer(), QueuePool), "late", registry)


def test_a_pool_without_a_queue_is_refused() -> None:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    with pytest.raises(TypeError, match=r"StaticPool.*poolclass=QueuePool"):
        instrument(engine, "static", CollectorRegistry())


def test_uninstrument_leaves_the_pool_as_it_was() -> None:
    registry = CollectorRegistry()
    server = FakeServer()
    engine = fake_engine(server, QueuePool)
    metrics = instrument(engine, "gone", registry)
    connection = engine.raw_connection()
    metrics.uninstrument()
    connection.close()
    engine.raw_connection().close()
    assert type(engine.pool) is QueuePool
    assert exposed(registry) == {}
    assert metrics.wait_time.state().count == 1
    again = instrument(engine, "back", registry)
    engine.raw_connection().close()
    assert again.wait_time.state().count == 1


def test_the_engine_keeps_its_listeners_and_its_logger() -> None:
    engine = fake_engine(FakeServer(), QueuePool)
    checkouts: list[Any] = []
    event.listen(engine, "checkout", lambda *arguments: checkouts.append(arguments))
    logger = engine.pool.logger
    instrument(engine, "heard", CollectorRegistry())
    engine.raw_connection().close()
    engine.dispose()
    engine.raw_connection().close()
    assert len(checkouts) == 2
    assert isinstance(engine.pool, QueuePool)
    assert engine.pool.logger.name == logger.name == "sqlalchemy.pool.impl.QueuePool"


def test_an_async_engine_takes_the_same_line() -> None:
    engine = create_async_engine("postgresql+psycopg://")
    instrument(engine, "async", CollectorRegistry())
    assert isinstance(engine.pool, AsyncAdaptedQueuePool)


def test_a_null_pool_has_uses_and_no_limits() -> None:
    server = FakeServer()
    engine = fake_engine(server, NullPool)
    metrics = instrument(engine, "none", CollectorRegistry())
    connection = engine.raw_connection()
    state = metrics.state()
    assert state is not None
    assert (state.used, state.idle, state.limits.open_max) == (1, 0, math.inf)
    connection.close()
    state = metrics.state()
    assert state is not None
    assert (state.used, state.idle) == (0, 0)
    assert metrics.create_time.state().count == metrics.use_time.state().count == 1


def test_a_connection_held_too_long_counts_as_leaked() -> None:
    now = 0.0
    engine = fake_engine(FakeServer(), QueuePool)
    metrics = instrument(engine, "leak", CollectorRegistry(), leak_after_s=10, clock=lambda: now)
    connection = engine.raw_connection()
    now = 10.0
    assert (state := metrics.state()) is not None
    assert (state.leaked, state.longest_use_s) == (0, 10)
    now = 10.5
    assert (state := metrics.state()) is not None
    assert state.leaked == 1
    connection.close()
    assert (state := metrics.state()) is not None
    assert (state.leaked, state.longest_use_s) == (0, 0)


def test_a_failed_connect_is_counted_and_told() -> None:
    server = FakeServer()
    engine = fake_engine(server, QueuePool)
    metrics = instrument(engine, "down", CollectorRegistry())
    server.refusing = True
    with pytest.raises(Refused):
        engine.raw_connection()
    assert (metrics.create_failures, metrics.last_create_error) == (1, "Refused")
    server.refusing = False
    engine.raw_connection().close()
    assert (metrics.create_failures, metrics.last_create_error) == (1, None)


def test_an_abandoned_coroutine_is_a_cancellation() -> None:
    """A loop that is closed under a waiter raises GeneratorExit in it, not CancelledError."""
    engine = fake_engine(AsyncFakeServer(), AsyncAdaptedQueuePool)
    metrics = instrument(engine, "abandoned", CollectorRegistry())

    async def abandon() -> None:
        asking = greenlet_spawn(engine.raw_connection)
        asking.send(None)
        assert (state := metrics.state()) is not None
        assert (state.pending, state.opening) == (1, 1)
        asking.close()

    asyncio.run(abandon())
    assert (state := metrics.state()) is not None
    assert (state.pending, state.opening, metrics.cancellations) == (0, 0, 1)


def test_every_exported_metric_is_in_the_reference() -> None:
    registry = CollectorRegistry()
    instrument(fake_engine(FakeServer(), QueuePool), "documented", registry)
    page = METRICS_PAGE.read_text()
    missing = [
        family.name
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        if f"`{family.name}`" not in page and f"`{family.name}_total`" not in page
    ]
    assert missing == []

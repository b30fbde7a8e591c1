"""How pools' books appear in a Prometheus registry; ``docs/metrics.md`` defines every name."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from .books import PoolMetrics, PoolState
from .histogram import Histogram, HistogramState

SEMCONV_VERSION = "1.44.0"
POOL_NAME = "db_client_connection_pool_name"

_GAUGES: tuple[tuple[str, str, Callable[[PoolState], float]], ...] = (
    (
        "db_client_connection_max",
        "The most open connections the pool allows; +Inf: no limit.",
        lambda state: state.limits.open_max,
    ),
    (
        "db_client_connection_idle_max",
        "The most idle connections the pool keeps; +Inf: no limit.",
        lambda state: state.limits.idle_max,
    ),
    (
        "db_client_connection_idle_min",
        "The fewest connections the pool keeps open unasked.",
        lambda state: state.limits.idle_min,
    ),
    (
        "auth_connection_wait_max_seconds",
        "How long a request waits for a connection at most: the pool's timeout.",
        lambda state: state.limits.wait_max_s,
    ),
    (
        "db_client_connection_pending_requests",
        "Requests for a connection that have no open connection yet.",
        lambda state: state.pending,
    ),
    (
        "auth_connections_opening",
        "Connections being opened.",
        lambda state: state.opening,
    ),
    (
        "auth_connections_leaked",
        "Connections out of the pool for longer than anybody can have meant, or lost for good.",
        lambda state: state.leaked,
    ),
    (
        "auth_connection_longest_wait_seconds",
        "Age of the oldest request that has not got its connection yet; 0: none.",
        lambda state: state.longest_wait_s,
    ),
    (
        "auth_connection_longest_use_seconds",
        "Age of the oldest use that has not ended yet; 0: none.",
        lambda state: state.longest_use_s,
    ),
)

_COUNTERS: tuple[tuple[str, str, Callable[[PoolMetrics], float]], ...] = (
    (
        "db_client_connection_timeouts",
        "Requests for a connection that the pool gave up on.",
        lambda pool: pool.timeouts,
    ),
    (
        "auth_connection_cancellations",
        "Requests for a connection that the requester gave up on.",
        lambda pool: pool.cancellations,
    ),
    (
        "auth_connection_refusals",
        "Requests for a connection that the pool refused because its queue was full.",
        lambda pool: pool.refusals,
    ),
    (
        "auth_connection_create_failures",
        "Attempts at opening a connection that failed.",
        lambda pool: pool.create_failures,
    ),
)

_HISTOGRAMS: tuple[tuple[str, str, Callable[[PoolMetrics], Histogram]], ...] = (
    (
        "db_client_connection_create_time_seconds",
        "Time it took to open a connection.",
        lambda pool: pool.create_time,
    ),
    (
        "db_client_connection_wait_time_seconds",
        "Time between asking for a connection and getting one or giving up.",
        lambda pool: pool.wait_time,
    ),
    (
        "db_client_connection_use_time_seconds",
        "Time between getting a connection and returning it.",
        lambda pool: pool.use_time,
    ),
)


class PoolCollector(Collector):
    """All pools of one registry: an exposition may hold every metric family only once."""

    def __init__(self) -> None:
        self._pools: dict[str, PoolMetrics] = {}
        self._lock = threading.Lock()

    def add(self, metrics: PoolMetrics) -> None:
        """Export ``metrics``; raises ValueError when a living pool has the name already."""
        with self._lock:
            known = self._pools.get(metrics.name)
            if known is not None and known.state() is not None:
                raise ValueError(
                    f"a pool is measured as {metrics.name!r} in this registry already; "
                    "give every pool a name of its own"
                )
            self._pools[metrics.name] = metrics

    def again(self, metrics: PoolMetrics, name: str) -> PoolMetrics:
        """``metrics``, if that is what this registry knows as ``name``; else ValueError."""
        if metrics.name == name and self._pools.get(name) is metrics:
            return metrics
        raise ValueError(
            f"the pool is measured as {metrics.name!r} already; uninstrument() it before measuring "
            "it under another name or in another registry"
        )

    def remove(self, name: str) -> None:
        """Stop exporting the pool of that name."""
        with self._lock:
            self._pools.pop(name, None)

    def describe(self) -> Iterable[Metric]:
        """The families without samples: a name taken by another collector shows at once."""
        return self._families([])

    def collect(self) -> Iterable[Metric]:
        """Every pool that still exists, counted now."""
        with self._lock:
            states = [(pool, pool.state()) for pool in self._pools.values()]
        return self._families([(pool, state) for pool, state in states if state is not None])

    def _families(self, pools: Sequence[tuple[PoolMetrics, PoolState]]) -> Iterator[Metric]:
        count = GaugeMetricFamily(
            "db_client_connection_count", "Open connections by state.", labels=[POOL_NAME, "state"]
        )
        for pool, state in pools:
            count.add_metric([pool.name, "idle"], state.idle)
            count.add_metric([pool.name, "used"], state.used)
        yield count
        for name, text, gauge in _GAUGES:
            family = GaugeMetricFamily(name, text, labels=[POOL_NAME])
            for pool, state in pools:
                family.add_metric([pool.name], gauge(state))
            yield family
        for name, text, counter in _COUNTERS:
            totals = CounterMetricFamily(name, text, labels=[POOL_NAME])
            for pool, _ in pools:
                totals.add_metric([pool.name], counter(pool))
            yield totals
        for name, text, histogram in _HISTOGRAMS:
            times = HistogramMetricFamily(name, text, labels=[POOL_NAME])
            for pool, _ in pools:
                observed = histogram(pool).state()
                times.add_metric([pool.name], _buckets(observed), observed.sum)
            yield times


def _buckets(observed: HistogramState) -> list[tuple[str, float]]:
    *bounds, _ = observed.bounds
    names = [*(str(bound) for bound in bounds), "+Inf"]
    return list(zip(names, observed.cumulative, strict=True))


_collectors: weakref.WeakKeyDictionary[CollectorRegistry, PoolCollector] = (
    weakref.WeakKeyDictionary()
)
_collectors_lock = threading.Lock()


def collector_of(registry: CollectorRegistry) -> PoolCollector:
    """The registry's one collector of pools, registered on first use."""
    with _collectors_lock:
        collector = _collectors.get(registry)
        if collector is None:
            collector = PoolCollector()
            registry.register(collector)
            _collectors[registry] = collector
        return collector

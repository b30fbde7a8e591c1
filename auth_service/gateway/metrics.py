"""What the gateway counts, in a registry of its own."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from auth_service.gateway.clients import DistinctClients
from auth_service.gateway.state import State

NO_REPLICA = "-"
"""The ``replica`` of a request for which no upstream was chosen."""

CLIENT_LEFT = 499
"""The ``code`` of a request whose client left before its answer; nginx's number for it."""

# Past the usual timeouts of 30 and 60 s, so that an answer at the timeout has a bucket of its own.
BUCKETS_S = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
    *(10.0, 15.0, 20.0, 25.0, 30.0, 31.0, 45.0, 60.0, 61.0, 120.0),
)


class GatewayMetrics:
    """The gateway's metrics; one object a gateway.

    ``gateway_in_flight`` is labelled by replica, because whether one replica piles up is what an
    operator asks it; ``sum(gateway_in_flight)`` is the whole. Durations are kept for requests that
    reached a replica, those whose client left included: a user who gave up is harm, not absence.
    ``clock`` is monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self.registry = CollectorRegistry()
        self._clock = clock
        self._clients = DistinctClients(clock())
        self._requests = Counter(
            "gateway_requests",
            "Requests by status sent (499: the client left) and replica (-: none chosen).",
            ["code", "replica"],
            registry=self.registry,
        )
        self._duration = Histogram(
            "gateway_request_duration_seconds",
            "From forwarding a request to its answer, by replica.",
            ["replica"],
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        self._in_flight = Gauge(
            "gateway_in_flight",
            "Requests a replica was given and has not answered.",
            ["replica"],
            registry=self.registry,
        )
        self._weight = Gauge(
            "gateway_upstream_weight",
            "The weight of a configured upstream.",
            ["replica", "backup"],
            registry=self.registry,
        )
        Gauge(
            "gateway_distinct_clients",
            "Different client addresses that sent requests in the last full window of 5 s.",
            registry=self.registry,
        ).set_function(lambda: self._clients.last(self._clock()))

    def show(self, state: State) -> None:
        """Bring the gauges that mirror the configuration up to ``state``."""
        self._weight.clear()
        for upstream in state.upstreams:
            backup = str(upstream.backup).lower()
            self._weight.labels(upstream.name, backup).set(upstream.weight)
            self._in_flight.labels(upstream.name)  # a replica shows 0 before its first request

    def came(self, client: str) -> None:
        """A request of ``client`` has come, whatever becomes of it."""
        self._clients.came(client, self._clock())

    def forwarding(self, replica: str) -> None:
        """A request goes to ``replica``."""
        self._in_flight.labels(replica).inc()

    def forwarded(self, replica: str, duration_s: float) -> None:
        """A request that went to ``replica`` is over."""
        self._in_flight.labels(replica).dec()
        self._duration.labels(replica).observe(duration_s)

    def answered(self, code: int, replica: str) -> None:
        """A client was answered with ``code``, or left."""
        self._requests.labels(str(code), replica).inc()

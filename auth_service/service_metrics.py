"""What the service measures of itself, beside its pool."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from auth_service.database_errors import REASONS, Reason
from auth_service.pool_metrics import bucket_bounds

FAILURES = (
    "invalid_credentials",
    "pool_exhausted",
    "database_unavailable",
    "invalid_request",
    "cancelled",
    "internal",
)


class ServiceMetrics:
    """The service's own metrics, in a registry of its own; every series exists from the start.

    A counter that appears with its first event has no increase to show for it.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        release: int,
        pool_timeout_s: float,
        hashes_pending: Callable[[], float],
    ) -> None:
        self.registry = registry
        ProcessCollector(registry=registry)
        Gauge(
            "auth_build_info",
            "Always 1; the label says which release runs.",
            ["release"],
            registry=registry,
        ).labels(str(release)).set(1)
        self._logins = Counter(
            "auth_logins",
            "Logins by how they ended.",
            ["outcome", "reason"],
            registry=registry,
        )
        self._logins.labels("success", "ok")
        for reason in FAILURES:
            self._logins.labels("failure", reason)
        self.login_duration = Histogram(
            "auth_login_duration_seconds",
            "Time from a login's arrival at the service to its answer, however it ended.",
            # A login waits for a connection twice, and must not end beyond the last bound.
            buckets=bucket_bounds(2 * pool_timeout_s),
            registry=registry,
        )
        self.in_flight = Gauge(
            "auth_http_requests_in_flight",
            "Requests being worked on, those to /metrics, /healthz and /readyz excepted.",
            registry=registry,
        )
        self.not_returned = Counter(
            "auth_connections_not_returned",
            "Connections that requests took and had not given back when they were over.",
            registry=registry,
        )
        self._database_errors = Counter(
            "auth_database_errors",
            "Requests that ended because the database could not be used, by reason.",
            ["reason"],
            registry=registry,
        )
        for why in REASONS:
            self._database_errors.labels(why)
        Gauge(
            "auth_hashes_pending",
            "Passwords that wait for a hashing thread or are being hashed.",
            registry=registry,
        ).set_function(hashes_pending)

    def login_ended(self, reason: str, duration_s: float) -> None:
        """Count a login: ``ok`` or one of ``FAILURES``."""
        self._logins.labels("success" if reason == "ok" else "failure", reason).inc()
        self.login_duration.observe(duration_s)

    def database_failed(self, reason: Reason) -> None:
        """Count a request that could not use the database."""
        self._database_errors.labels(reason).inc()

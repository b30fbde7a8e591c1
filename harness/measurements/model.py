"""What can be measured of a run: values with their units, None where nothing could be measured."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Value(BaseModel):
    """Frozen, closed, and the same bytes in JSON each time."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Arrivals(Value):
    """Every scheduled arrival in exactly one bucket, as replayed (not weighted)."""

    scheduled: int
    ok: int
    http_error: int
    gateway_timeout: int
    client_timeout: int
    refused: int
    in_flight_at_end: int
    shed_by_generator: int


class Replayed(Value):
    """Users counted as they were replayed, without weights."""

    attempted: int
    affected: int


class Users(Value):
    """Users of the outage, weighted to the incident's length by the time map."""

    attempted: int
    affected: int
    affected_ratio: float | None
    replayed: Replayed


class Quantiles(Value):
    p50: float | None
    p95: float | None
    p99: float | None
    max: float | None


class StartLag(Value):
    p99: float | None


class Latency(Value):
    """Seconds to the end of successful logins, and how late their first attempt was sent."""

    from_intended: Quantiles
    from_send: Quantiles
    start_lag: StartLag


class Clocks(Value):
    surge_start: float | None
    first_waiter: float | None
    first_pool_timeout: float | None
    slo_breach: float | None
    detected: float | None
    mitigated: float | None
    recovered: float | None


class Capacity(Value):
    """Logins per second: pool limit / hold time, and what came out while the pools were full."""

    predicted_per_s: float | None
    measured_per_s: float | None

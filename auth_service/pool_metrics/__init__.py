"""Measure a connection pool where it hurts: between asking for a connection and getting one.

    from auth_service.pool_metrics import instrument

    metrics = instrument(engine)    # a SQLAlchemy Engine, AsyncEngine or Pool

and for psycopg_pool, ``pool_metrics.of_psycopg.instrument_psycopg_pool``.

This folder stands alone and may be copied: it needs SQLAlchemy and prometheus_client, and
psycopg_pool for that one module only. Names follow OpenTelemetry's semantic conventions for
database clients in Prometheus form; what they have no name for begins with ``auth_``. Durations are
noted as they happen; gauges are counted when somebody scrapes.
"""

from .books import Limits, PoolMetrics, PoolState
from .exposition import POOL_NAME, SEMCONV_VERSION
from .histogram import Histogram, HistogramState, bucket_bounds
from .of_sqlalchemy import instrument

__all__ = [
    "POOL_NAME",
    "SEMCONV_VERSION",
    "Histogram",
    "HistogramState",
    "Limits",
    "PoolMetrics",
    "PoolState",
    "bucket_bounds",
    "instrument",
]

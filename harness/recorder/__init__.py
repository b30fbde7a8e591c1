"""Observing a run: one-second samples of every part, kept on disk as they come."""

from harness.recorder.database import DatabaseSampler
from harness.recorder.exposition import MetricPage
from harness.recorder.parts import SampleParts
from harness.recorder.pgbouncer import PgbouncerSampler
from harness.recorder.recorder import (
    DATABASE_TARGET,
    EXPORTER_TARGET,
    PGBOUNCER_TARGET,
    RECORDER_TARGET,
    Pools,
    Recorder,
    SeriesKey,
)

__all__ = [
    "DATABASE_TARGET",
    "EXPORTER_TARGET",
    "PGBOUNCER_TARGET",
    "RECORDER_TARGET",
    "DatabaseSampler",
    "MetricPage",
    "PgbouncerSampler",
    "Pools",
    "Recorder",
    "SampleParts",
    "SeriesKey",
]

"""Observing a run: one-second samples of every part, kept on disk as they come."""

from harness.recorder.database import DatabaseSampler
from harness.recorder.exposition import MetricPage
from harness.recorder.parts import SampleParts
from harness.recorder.recorder import DATABASE_TARGET, RECORDER_TARGET, Pools, Recorder, SeriesKey

__all__ = [
    "DATABASE_TARGET",
    "RECORDER_TARGET",
    "DatabaseSampler",
    "MetricPage",
    "Pools",
    "Recorder",
    "SampleParts",
    "SeriesKey",
]

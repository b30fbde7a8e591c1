"""Load: arrivals compiled from rates, and the Locust processes that play them."""

from harness.load.arrivals import RateSegment, compile_arrivals, expected_arrivals
from harness.load.attempts import read_attempts
from harness.load.process import LoadRun, LoadStatus, suggested_shards
from harness.load.segments import rate_segments
from harness.load.target import refuse_foreign_target

__all__ = [
    "LoadRun",
    "LoadStatus",
    "RateSegment",
    "compile_arrivals",
    "expected_arrivals",
    "rate_segments",
    "read_attempts",
    "refuse_foreign_target",
    "suggested_shards",
]

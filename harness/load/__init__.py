"""Load: arrivals compiled from rates, and the Locust processes that play them."""

from harness.load.arrivals import RateSegment, compile_arrivals, expected_arrivals
from harness.load.attempts import read_attempts
from harness.load.load import Load
from harness.load.process import LoadRun, suggested_shards
from harness.load.segments import rate_segments
from harness.load.serving import serve_master
from harness.load.status import LoadStatus
from harness.load.target import refuse_foreign_target
from harness.load.workers import Workers, WorkersRun, workers_wanted

__all__ = [
    "Load",
    "LoadRun",
    "LoadStatus",
    "RateSegment",
    "Workers",
    "WorkersRun",
    "compile_arrivals",
    "expected_arrivals",
    "rate_segments",
    "read_attempts",
    "refuse_foreign_target",
    "serve_master",
    "suggested_shards",
    "workers_wanted",
]

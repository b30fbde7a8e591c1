"""Pure functions of a recording: no stack, no socket, no clock, no judgement."""

from harness.measurements.arrivals import (
    arrival_table,
    broken_arrivals,
    count_buckets,
    count_users,
    latency,
    success_ratio,
)
from harness.measurements.clocks import clocks, first_fix_s, mitigated_s, surge_s
from harness.measurements.pools import capacity, pool_totals, total_increase

__all__ = [
    "arrival_table",
    "broken_arrivals",
    "capacity",
    "clocks",
    "count_buckets",
    "count_users",
    "first_fix_s",
    "latency",
    "mitigated_s",
    "pool_totals",
    "success_ratio",
    "surge_s",
    "total_increase",
]

"""Pure functions of a recording: no stack, no socket, no clock, no judgement."""

from harness.measurements.arrivals import (
    arrival_table,
    attempted_logins,
    broken_arrivals,
    count_buckets,
    count_users,
    latency,
    success_ratio,
)
from harness.measurements.claims import Measured, claimed
from harness.measurements.clocks import (
    Decoy,
    clocks,
    decoys,
    first_fix_s,
    mitigated_s,
    onset_s,
    slo_breach,
    surge_s,
)
from harness.measurements.machine import waiting_for_processor
from harness.measurements.parts import away_seconds, restarts
from harness.measurements.pools import (
    capacity,
    pool_totals,
    steepest_increase,
    total_increase,
)

__all__ = [
    "Decoy",
    "Measured",
    "arrival_table",
    "attempted_logins",
    "away_seconds",
    "broken_arrivals",
    "capacity",
    "claimed",
    "clocks",
    "count_buckets",
    "count_users",
    "decoys",
    "first_fix_s",
    "latency",
    "mitigated_s",
    "onset_s",
    "pool_totals",
    "restarts",
    "slo_breach",
    "steepest_increase",
    "success_ratio",
    "surge_s",
    "total_increase",
    "waiting_for_processor",
]

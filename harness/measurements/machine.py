"""What the machine had to spare: where it had nothing, it is what was measured."""

from __future__ import annotations

import polars as pl

from harness.measurements.pools import total_increase

WAITING = "node_pressure_cpu_waiting_seconds_total"
"""Seconds in which some task had no processor to run on (Linux' pressure stall information)."""


def waiting_for_processor(samples: pl.DataFrame, begin_s: float, end_s: float) -> float | None:
    """The ratio of the time between two replay seconds in which tasks waited for a processor.

    None where the kernel does not tell, or nothing was sampled.
    """
    waited_s = total_increase(samples, WAITING, begin_s=begin_s, end_s=end_s)
    if waited_s is None or end_s <= begin_s:
        return None
    return waited_s / (end_s - begin_s)

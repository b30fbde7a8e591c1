"""The processors' pressure, on samples small enough to check by hand."""

from __future__ import annotations

import polars as pl

from harness.measurements.machine import WAITING, waiting_for_processor
from harness.recording import SAMPLES


def waited(*seconds: float) -> pl.DataFrame:
    rows = [(float(at), "machine", WAITING, "", value) for at, value in enumerate(seconds)]
    return pl.DataFrame(rows, schema=SAMPLES, orient="row")


def test_it_is_the_share_of_the_time_in_which_tasks_waited() -> None:
    samples = waited(5.0, 5.0, 5.5, 6.5, 7.5, 7.5)
    assert waiting_for_processor(samples, 1.0, 4.0) == 2.5 / 3
    assert waiting_for_processor(samples, 4.0, 5.0) == 0.0


def test_where_the_kernel_does_not_tell_nothing_is_known() -> None:
    assert waiting_for_processor(waited(), 0.0, 4.0) is None
    assert waiting_for_processor(waited(1.0, 2.0), 1.0, 1.0) is None

"""When the SLO was broken and when it held again."""

from __future__ import annotations

import polars as pl

from harness.incident import Slo
from harness.measurements.clocks import slo_breach

SLO = Slo(success=0.9, latency_s=2.0, window_s=2.0)


def logins(per_second: dict[int, tuple[int, int]], latency_s: float = 0.1) -> pl.DataFrame:
    """``second: (good, bad)``, as rows of an arrival table."""
    rows = [
        (second + 0.5 - latency_s, second + 0.5, good)
        for second, (goods, bads) in per_second.items()
        for good in [True] * goods + [False] * bads
    ]
    schema = {"intended_s": pl.Float64, "ended_s": pl.Float64, "in_time": pl.Boolean}
    return pl.DataFrame(rows, schema=schema, orient="row")


def test_a_breach_begins_and_ends_with_its_window() -> None:
    found = slo_breach(
        logins({0: (30, 0), 1: (30, 0), 2: (10, 20), 3: (30, 0), 4: (30, 0), 5: (30, 0)}), SLO, 9.0
    )
    assert (found.begin_s, found.recovered_s) == (2.0, 4.0)


def test_a_breach_to_the_end_has_no_recovery() -> None:
    found = slo_breach(logins({0: (30, 0), 1: (0, 30)}), SLO, 9.0)
    assert (found.begin_s, found.recovered_s) == (1.0, None)


def test_slow_logins_are_bad_logins() -> None:
    assert slo_breach(logins({0: (30, 0)}, latency_s=2.5), SLO, 9.0).begin_s == 0.0
    assert slo_breach(logins({0: (30, 0)}, latency_s=1.5), SLO, 9.0).begin_s is None


def test_a_handful_of_logins_is_no_breach() -> None:
    assert slo_breach(logins({0: (0, 5)}), SLO, 9.0).begin_s is None
    assert slo_breach(logins({}), SLO, 9.0).begin_s is None


def test_a_login_that_never_ended_is_bad_when_patience_is_over() -> None:
    never = pl.DataFrame(
        {"intended_s": [1.0] * 25, "ended_s": [None] * 25, "in_time": [False] * 25},
        schema={"intended_s": pl.Float64, "ended_s": pl.Float64, "in_time": pl.Boolean},
    )
    assert slo_breach(never, SLO, 9.0).begin_s == 10.0

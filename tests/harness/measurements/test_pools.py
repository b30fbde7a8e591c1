"""Counters, totals and capacity on samples small enough to check by hand."""

from __future__ import annotations

import polars as pl

from harness.measurements.pools import (
    PENDING,
    TIMEOUTS,
    first_moments,
    hold_time_s,
    increase,
    pool_totals,
    total_increase,
)
from harness.recording import SAMPLES


def samples(*rows: tuple[float, str, str, str, float]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=SAMPLES, orient="row")


def test_a_counter_that_falls_was_reset_and_what_it_shows_is_growth() -> None:
    counter = samples(
        (0, "a", TIMEOUTS, "", 5), (1, "a", TIMEOUTS, "", 8), (2, "a", TIMEOUTS, "", 2)
    )
    assert increase(counter)["growth"].to_list() == [0, 3, 2]


def test_a_retiring_replica_goes_on_counting_where_it_was() -> None:
    counter = samples(
        (0, "a", TIMEOUTS, "", 5),
        (1, "a", TIMEOUTS, "", 1),  # the new process, under the old one's name
        (1, "a-retiring", TIMEOUTS, "", 9),
        (2, "a", TIMEOUTS, "", 1),
        (2, "a-retiring", TIMEOUTS, "", 12),
    )
    assert increase(counter)["growth"].to_list() == [0, 1, 4, 0, 3]


def test_a_replica_that_retires_twice_does_not_count_its_first_retirement_again() -> None:
    counter = samples(
        (0, "a", TIMEOUTS, "", 5),
        (1, "a", TIMEOUTS, "", 0),
        (1, "a-retiring", TIMEOUTS, "", 6),  # the first process: 1 more
        (8, "a", TIMEOUTS, "", 100),  # the second: 100
        (9, "a", TIMEOUTS, "", 0),
        (9, "a-retiring", TIMEOUTS, "", 103),  # 3 more
        (10, "a", TIMEOUTS, "", 0),
        (10, "a-retiring", TIMEOUTS, "", 104),  # and 1
    )
    assert total_increase(counter, TIMEOUTS, begin_s=-1, end_s=11) == 105


def test_counters_of_different_targets_do_not_mix() -> None:
    counter = samples(
        (0, "a", TIMEOUTS, "", 0),
        (0, "b", TIMEOUTS, "", 100),
        (1, "a", TIMEOUTS, "", 1),
        (1, "b", TIMEOUTS, "", 110),
    )
    assert total_increase(counter, TIMEOUTS, begin_s=-1, end_s=2) == 11
    assert total_increase(counter, "other", begin_s=-1, end_s=2) is None


def test_a_waiter_before_the_surge_is_not_the_first_waiter() -> None:
    seen = samples(
        (1, "a", PENDING, "", 2),
        (5, "a", PENDING, "", 0),
        (6, "a", PENDING, "", 1),
        (5, "a", TIMEOUTS, "", 0),
        (9, "a", TIMEOUTS, "", 3),
    )
    moments = first_moments(seen, since_s=4.0)
    assert (moments.first_waiter_s, moments.first_timeout_s) == (6, 9)
    assert first_moments(seen, since_s=10.0).first_waiter_s is None


def test_pool_totals_take_each_targets_last_sample_of_the_second() -> None:
    used, idle = 'db_client_connection_pool_name="p",state="used"', 'state="idle"'
    name = "db_client_connection_count"
    seen = samples(
        (1.1, "a", name, used, 3),
        (1.9, "a", name, used, 5),
        (1.2, "b", name, used, 2),
        (1.2, "b", name, idle, 4),
        (1.2, "b", "db_client_connection_max", "", 6),
    )
    row = pool_totals(seen).row(0, named=True)
    assert (row["second"], row["used"], row["idle"], row["limit"], row["targets"]) == (
        1,
        7,
        4,
        6,
        2,
    )


def test_hold_time_is_use_time_a_login_over_all_its_checkouts() -> None:
    seen = samples(
        (0, "a", "db_client_connection_use_time_seconds_sum", "", 0),
        (0, "a", "auth_logins_total", 'outcome="success",reason="ok"', 0),
        (0, "a", "auth_logins_total", 'outcome="failure",reason="internal"', 0),
        (9, "a", "db_client_connection_use_time_seconds_sum", "", 2.0),
        (9, "a", "auth_logins_total", 'outcome="success",reason="ok"', 20),
        (9, "a", "auth_logins_total", 'outcome="failure",reason="internal"', 5),
    )
    assert hold_time_s(seen, -1, 10) == 0.1
    assert hold_time_s(seen.head(0), -1, 10) is None

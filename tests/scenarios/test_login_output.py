"""What the load process writes, and how late it says it was."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.outcome import Outcome
from scenarios.output import AppendedFile, AttemptLog, StartLag, write_status


def test_lines_are_whole_and_open_attempts_are_closed(tmp_path: Path) -> None:
    """A line when sent, a line when ended, and in flight at the end for the rest."""
    path = tmp_path / "attempts.csv"
    file = AppendedFile(path)
    log = AttemptLog(file.write)
    log.sent(4, 70, 1, 0.1)
    log.sent(5, 71, 1, 1 / 3)
    log.ended(4, 0.30000000000000004, Outcome("http_error", 503, "pool_exhausted", "replica-1"))
    assert log.open == {5: (71, 1)}
    assert path.read_text("ascii").count("\n") == 1  # nothing but the header before a flush
    log.flush()
    assert path.read_text("ascii").endswith("503,pool_exhausted,replica-1\n")
    log.close()
    log.ended(5, 0.5, Outcome("ok", 200))  # too late: it is in flight at the end
    log.flush()
    file.close()
    assert path.read_text("ascii").splitlines() == [
        "event,arrival,user,attempt,at_s,outcome,status,code,replica",
        "sent,4,70,1,0.1,,,,",
        "sent,5,71,1,0.3333333333333333,,,,",
        "end,4,70,1,0.30000000000000004,http_error,503,pool_exhausted,replica-1",
        "end,5,71,1,,in_flight_at_end,,,",
    ]


@given(st.lists(st.floats(-0.001, 5.0), min_size=1, max_size=300))
def test_start_lag_is_the_nearest_rank_to_a_bin(lags_s: list[float]) -> None:
    """Within a tenth of a millisecond above the true p99, the maximum beyond two seconds."""
    start_lag = StartLag()
    for lag_s in lags_s:
        start_lag.add(lag_s)
    exact_s = sorted(lags_s)[math.ceil(len(lags_s) * 0.99) - 1]
    found_s = start_lag.p99_s()
    assert found_s is not None
    if exact_s < 2.0:
        assert max(exact_s, 0.0) <= found_s + 1e-9
        assert found_s <= max(exact_s, 0.0) + StartLag.BIN_S + 1e-9
    else:
        assert found_s == max(lags_s)


def test_no_arrival_has_no_start_lag() -> None:
    """Missing is not zero."""
    assert StartLag().p99_s() is None


def test_the_status_is_replaced_whole(tmp_path: Path) -> None:
    """And no temporary file stays behind."""
    path = tmp_path / "status.json"
    for number in range(2):
        write_status(path, {"offered": number})
    assert json.loads(path.read_text()) == {"offered": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["status.json"]


def test_the_output_cannot_be_opened_where_there_is_no_folder(tmp_path: Path) -> None:
    """Before the load begins, not at its first flush."""
    with pytest.raises(FileNotFoundError):
        AppendedFile(tmp_path / "missing" / "attempts.csv")

"""Reading what a load process wrote, whole or cut off."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import RecordingError
from harness.load import read_attempts
from harness.recording import BUCKETS, REQUESTS

HEADER = "event,arrival,user,attempt,at_s,outcome,status,code,replica\n"
WHOLE = HEADER + (
    "sent,0,7,1,0.1,,,,\n"
    "sent,1,8,1,0.2,,,,\n"
    "end,0,7,1,0.30000000000000004,http_error,503,pool_exhausted,replica-1\n"
    "sent,0,7,2,0.5,,,,\n"
    "end,1,8,1,0.6,refused,,ECONNREFUSED,\n"
    "end,0,7,2,,in_flight_at_end,,,\n"
    "sent,2,9,1,0.7,,,,\n"
)


def write(folder: Path, text: str, name: str = "attempts-0.csv") -> Path:
    path = folder / name
    path.write_text(text, "ascii")
    return path


def test_one_row_an_attempt(tmp_path: Path) -> None:
    """Sent and end lines meet; times keep every digit; an attempt without an end is in flight."""
    frame = read_attempts([write(tmp_path, WHOLE)])
    assert frame.schema == REQUESTS
    assert frame.rows() == [
        (0, 7, 1, 0.1, 0.30000000000000004, "http_error", 503, "pool_exhausted", "replica-1"),
        (0, 7, 2, 0.5, None, "in_flight_at_end", None, "", ""),
        (1, 8, 1, 0.2, 0.6, "refused", None, "ECONNREFUSED", ""),
        (2, 9, 1, 0.7, None, "in_flight_at_end", None, "", ""),
    ]


@given(st.integers(0, len(WHOLE)))
def test_a_file_cut_off_anywhere_is_read(
    tmp_path_factory: pytest.TempPathFactory, length: int
) -> None:
    """A killed process costs its last line, never the file; what is left conserves attempts."""
    path = write(tmp_path_factory.mktemp("cut"), WHOLE[:length])
    frame = read_attempts([path])
    whole_lines = WHOLE[:length].split("\n")[1:-1]
    assert frame.height == sum(line.startswith("sent") for line in whole_lines)
    assert set(frame["outcome"]) <= set(BUCKETS)


def test_several_files_are_one_table(tmp_path: Path) -> None:
    """Shards; a missing file is a process that sent nothing."""
    one = write(tmp_path, HEADER + "sent,3,1,1,0.5,,,,\nend,3,1,1,0.6,ok,200,,replica-2\n", "a")
    other = write(tmp_path, WHOLE, "b")
    frame = read_attempts([one, other, tmp_path / "missing"])
    assert frame["arrival"].to_list() == [0, 0, 1, 2, 3]
    assert frame.row(-1)[5:] == ("ok", 200, "", "replica-2")


@pytest.mark.parametrize(
    "text", ["a,b\n1,2\n", HEADER + "sent,first,1,1,0.5,,,,\n", HEADER + "sent,1\x00\xff,,,\n"]
)
def test_another_kind_of_file_is_refused(tmp_path: Path, text: str) -> None:
    """With its name, not with a traceback of the CSV reader."""
    path = tmp_path / "attempts-0.csv"
    path.write_text(text, "latin-1")
    with pytest.raises(RecordingError, match=r"attempts-0\.csv"):
        read_attempts([path])

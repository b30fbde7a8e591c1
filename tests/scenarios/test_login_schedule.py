"""The arrivals a load process plays."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.schedule import read_schedule

HEADER = "arrival,user,intended_s\n"


@given(st.integers(1, 7), st.integers(0, 60))
def test_shards_share_the_arrivals_out(
    tmp_path_factory: pytest.TempPathFactory, shards: int, count: int
) -> None:
    """Every arrival is played by exactly one process."""
    path = tmp_path_factory.mktemp("schedule") / "arrivals.csv"
    path.write_text(HEADER + "".join(f"{i},{i + 5},{i / 3!r}\n" for i in range(count)))
    parts = [list(read_schedule(path, shard=n, shards=shards)) for n in range(shards)]
    assert all(arrival % shards == n for n, part in enumerate(parts) for arrival, _, _ in part)
    assert sorted(row for part in parts for row in part) == [
        (i, i + 5, i / 3) for i in range(count)
    ]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "columns"),
        ("a,b\n", "columns"),
        (HEADER + "0,1,5.0\n1,1,4.0\n", "arrival 1"),
        (HEADER + "0,1,soon\n", "soon"),
    ],
)
def test_a_bad_schedule_is_refused(tmp_path: Path, text: str, word: str) -> None:
    """Unsorted arrivals would be played late and blamed on the target."""
    path = tmp_path / "arrivals.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=word):
        read_schedule(path, shard=0, shards=1)

"""The arrivals a load process plays."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.schedule import Addresses, Arrival, parse_schedule, read_schedule, shard_out

HEADER = "arrival,user,intended_s,address,wrong_password\n"


@given(st.integers(1, 7), st.integers(0, 60))
def test_shards_share_the_arrivals_out(
    tmp_path_factory: pytest.TempPathFactory, shards: int, count: int
) -> None:
    """Every arrival is played by exactly one process."""
    path = tmp_path_factory.mktemp("schedule") / "arrivals.csv"
    lines = [f"{i},{i + 5},{i / 3!r},10.16.0.{i},{i % 2}\n" for i in range(count)]
    path.write_text(HEADER + "".join(lines))
    schedules = [read_schedule(path, shard=n, shards=shards) for n in range(shards)]
    parts = [list(schedule) for schedule in schedules]
    assert [len(schedule) for schedule in schedules] == [len(part) for part in parts]
    assert all(arrival.number % shards == n for n, part in enumerate(parts) for arrival in part)
    assert sorted(row for part in parts for row in part) == [
        Arrival(i, i + 5, i / 3, f"10.16.0.{i}", i % 2 == 1) for i in range(count)
    ]


@given(st.integers(1, 7), st.integers(0, 60))
def test_a_master_shares_out_what_the_processes_would_have_read(
    tmp_path_factory: pytest.TempPathFactory, shards: int, count: int
) -> None:
    """Shard by shard the same arrivals, whoever plays them: none twice, none forgotten."""
    path = tmp_path_factory.mktemp("schedule") / "arrivals.csv"
    lines = [f"{i},{i + 5},{i / 3!r},10.16.0.{i},{i % 2}\n" for i in range(count)]
    path.write_text(HEADER + "".join(lines))
    for number, text in enumerate(shard_out(path, shards)):
        played = parse_schedule(text.splitlines(), "shard", shard=number, shards=shards)
        assert list(played) == list(read_schedule(path, shard=number, shards=shards))
        assert text.count("\n") == len(played) + 1


@pytest.mark.parametrize("text", ["", "a,b\n", HEADER + "first,1,0.0,10.0.0.1,0\n"])
def test_a_schedule_that_is_none_is_not_shared_out(tmp_path: Path, text: str) -> None:
    (tmp_path / "arrivals.csv").write_text(text)
    with pytest.raises(ValueError, match=r"columns|first"):
        shard_out(tmp_path / "arrivals.csv", 2)


@given(st.lists(st.ip_addresses()))
def test_addresses_come_back_as_they_went_in(expected: list[IPv4Address | IPv6Address]) -> None:
    """Both kinds in any order; packed, IPv6 may come back in another of its spellings."""
    addresses = Addresses()
    for address in expected:
        addresses.append(str(address))
    assert [ip_address(text) for text in addresses] == expected


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "columns"),
        ("a,b\n", "columns"),
        ("arrival,user,intended_s\n", "columns"),
        (HEADER + "0,1,5.0,10.0.0.1,0\n1,1,4.0,10.0.0.1,0\n", "arrival 1"),
        (HEADER + "0,1,soon,10.0.0.1,0\n", "soon"),
        (HEADER + "0,1,5.0,somewhere,0\n", "somewhere"),
        (HEADER + '0,1,5.0,"10.0.0.1\nX-User: root",0\n', "X-User"),
        (HEADER + "0,1,5.0,10.0.0.1,yes\n", "yes"),
        (HEADER + "0,1,5.0,10.0.0.1,2\n", "wrong_password"),
        (HEADER + "0,1,5.0,10.0.0.1\n", "values"),
    ],
)
def test_a_bad_schedule_is_refused(tmp_path: Path, text: str, word: str) -> None:
    """Unsorted arrivals would be played late and blamed on the target."""
    path = tmp_path / "arrivals.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=word):
        read_schedule(path, shard=0, shards=1)

"""`pooldrill size`, from the outside."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from harness.cli import main
from harness.load import suggested_shards


class Ended(NamedTuple):
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str


Size = Callable[..., Ended]
Rows = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def size(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Size:
    """The command in this process: a new one would take most of the time to import everything."""

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["pooldrill", "size", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return Ended(int(ended.value.code or 0), printed.out, printed.err)

    return run


@pytest.fixture
def rows(size: Size) -> Rows:
    return lambda *arguments: json.loads(size(*arguments, "--json").out)


def test_a_pool_is_found_for_a_rate(rows: Rows) -> None:
    (row,) = rows("--rate", "270/s", "--hold", "50ms", "--wait", "100ms")
    assert row["busy"] == pytest.approx(13.5)
    assert row["connections"] == row["pool"] == 16  # of 15, three in a hundred wait longer
    assert row["wait_p99_s"] <= 0.1
    assert row["carried"] is True


def test_the_incidents_pools_do_not_carry_its_surge(size: Size, rows: Rows) -> None:
    arguments = ("--rate", "29/s", "--hold", "500ms", "--replicas", "2", "--pool", "5")
    ended = size(*arguments, "--timeout", "1s")
    assert ended.code == 1
    assert "29/s over 2 × 5: the pools carry 20/s" in ended.err
    (row,) = rows(*arguments, "--timeout", "1s")
    assert row["utilisation"] == pytest.approx(1.45)
    assert row["first_timeout_s"] == pytest.approx(1.45 / 0.45)
    assert row["failing"] == pytest.approx(0.31, abs=0.001)
    assert row["wait_p99_s"] is None, "it grows without end"


def test_more_connections_than_the_database_grants_is_a_failure(size: Size) -> None:
    """3 replicas of 4 workers, 5 + 10 connections each: 180 of 97."""
    arguments = ("--rate", "100/s", "--hold", "50ms", "--replicas", "12", "--pool", "15")
    ended = size(*arguments, "--max-connections", "100", "--reserved", "3")
    assert ended.code == 1
    assert "180 connections, and the database grants 97" in ended.err
    assert size(*arguments, "--max-connections", "183", "--reserved", "3").code == 0


def test_what_surrounds_the_fleet_grows_with_the_rate(rows: Rows) -> None:
    found = rows(
        *("--rate", "100/s", "--rate", "100000/s", "--per-replica", "500/s"),
        *("--hold", "50ms", "--hash", "25ms"),
    )
    assert [row["replicas"] for row in found] == [1, 200]
    assert [row["generators"] for row in found] == [suggested_shards(r) for r in (100, 100_000)]
    assert [row["hash_cores"] for row in found] == pytest.approx([2.5, 2500])
    assert found[1]["client_addresses"] > 200


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--rate", "fast", "--hold", "50ms"), "not a rate"),
        (("--rate", "80/s", "--hold", "50"), "not a duration"),
        (("--rate", "0/s", "--hold", "50ms"), "more than 0"),
        (("--rate", "80/s", "--hold", "0s"), "more than 0"),
        (("--rate", "9000000/s", "--hold", "1s"), "at most 1000000"),
        (
            ("--rate", "8/s", "--hold", "1s", "--replicas", "2", "--per-replica", "4/s"),
            "--per-replica",
        ),
        (("--rate", "8/s", "--hold", "1s", "--into", "nowhere.md#x"), "nowhere.md"),
    ],
)
def test_bad_input_is_refused_with_its_remedy(
    size: Size, arguments: tuple[str, ...], says: str
) -> None:
    ended = size(*arguments)
    assert ended.code == 2
    assert says in ended.err
    assert "PD001" in ended.err
    assert "remedy" in ended.err


def test_a_table_replaces_what_stands_between_a_pages_marks(size: Size, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- fleets: x -->\nold\n<!-- end of fleets: x -->\nb\n", "utf-8")
    ended = size("--rate", "80/s", "--hold", "50ms", "--into", f"{page}#x")
    text = page.read_text("utf-8")
    assert ended.code == 0
    assert text.startswith("a\n<!-- fleets: x -->\n\n| logins | replicas × pool |")
    assert text.endswith("|\n\n<!-- end of fleets: x -->\nb\n")
    assert size("--rate", "8/s", "--hold", "5ms", "--into", f"{page}#y").code == 2

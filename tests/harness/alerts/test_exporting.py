"""What other tools are given: OpenMetrics, and incidents for Lapilli."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from harness.alerts.expansion import Expanded, LabTime
from harness.alerts.exporting import export_openmetrics, lapilli
from harness.alerts.score import Subject
from harness.alerts.series import Grid, SeriesTable, labels_of
from harness.errors import RunDirectoryError
from harness.timemap import Knot, TimeMap


def one_pool() -> SeriesTable:
    """A pool that fills up, and is not seen for a while."""
    used = np.repeat([5.0, 10.0], 20)
    present = np.ones((1, 40), dtype=bool)
    present[0, 30:33] = False
    return SeriesTable(
        Grid(-300.0, 15.0, 40),
        (labels_of({"__name__": "used", "instance": "a"}),),
        used[None, :],
        present,
    )


def at_length() -> Expanded:
    return Expanded(one_pool(), LabTime((), TimeMap((Knot(0.0, 0.0, 1.0),))))


def test_a_recording_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "series.txt"
    written = export_openmetrics(at_length(), path, 1_700_000_000.0)
    lines = path.read_text("utf-8").splitlines()
    assert written == 37 == len(lines) - 1
    assert lines[0] == 'used{instance="a"} 5.0 1699999700'
    assert lines[-1] == "# EOF"
    assert [each.name for each in tmp_path.iterdir()] == ["series.txt"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    path = tmp_path / "no-such-folder" / "series.txt"
    with pytest.raises(RunDirectoryError, match=r"series\.txt cannot be written"):
        export_openmetrics(at_length(), path, 0.0)


# -- Lapilli -----------------------------------------------------------------------------------


def subject(name: str, *, benign: bool = False, recovered_s: float | None = None) -> Subject:
    return Subject(
        incident=name,
        seed=1,
        source="replay",
        benign=benign,
        begin_s=-600.0,
        end_s=3600.0,
        onset_s=600.0,
        outage_end_s=1800.0,
        first_pool_timeout_s=None,
        slo_breach_s=None,
        recovered_s=recovered_s,
    )


def test_incidents_for_lapilli() -> None:
    zero = 1_700_006_400.0  # 2023-11-15T00:00:00Z
    text = lapilli(
        [
            (subject("undersized-pool", recovered_s=1805.5), zero),
            (subject("busy-morning", benign=True), zero),
            (subject("undersized-pool"), zero + 7200),
        ],
        labels={"service": "login"},
    )
    first, second = yaml.safe_load(text)["incidents"]
    assert first["id"] == "undersized-pool-1"
    assert second["id"] == "undersized-pool-1-2"
    assert first["title"] == "undersized-pool (replay, seed 1)"
    assert first["labels"] == {"service": "login"}
    # Read as texts: YAML's own timestamps would lose that they are RFC 3339 with an offset.
    assert "start: '2023-11-15T00:10:00Z'\n" in text
    assert "end: '2023-11-15T00:30:05.500Z'\n" in text
    assert "end: '2023-11-15T02:30:00Z'\n" in text


def test_without_incidents_lapilli_is_told_so() -> None:
    assert lapilli([(subject("busy-morning", benign=True), 0.0)]) == "incidents: []\n"

"""Where the load stands, from the status files of its processes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class LoadStatus:
    """Where the load stands, as of the last second; counts are sums over the processes.

    ``offered`` arrivals were due, ``sent`` of them made their first attempt, ``ok`` succeeded;
    ``in_flight`` attempts wait for an answer. ``start_lag_p99_s`` is over all first attempts: how
    late they were sent, None before there was one.
    """

    offered: int = 0
    sent: int = 0
    ok: int = 0
    in_flight: int = 0
    start_lag_p99_s: float | None = None


def read_status(path: Path) -> dict[str, Any]:
    """A process's status; empty before there is one."""
    try:
        status = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return status if isinstance(status, dict) else {}


def merged_status(paths: Iterable[Path]) -> LoadStatus:
    """The status of all processes as one; all zero before their first second."""
    found = [status for path in paths if (status := read_status(path))]
    return LoadStatus(
        offered=sum(status["offered"] for status in found),
        sent=sum(status["sent"] for status in found),
        ok=sum(status["ok"] for status in found),
        in_flight=sum(status["in_flight"] for status in found),
        start_lag_p99_s=merged_p99_s([status["start_lag"] for status in found]),
    )


def merged_p99_s(histograms: Iterable[Mapping[str, Any]]) -> float | None:
    """The 99th percentile (nearest rank) of all that the histograms counted; None where nothing.

    Bins of the same width are added up, so it lies in the very bin in which the percentile of
    the pooled values lies: percentiles themselves can be neither averaged nor compared. It is the
    bin's upper end, in seconds. What lies beyond the last bin counts as the greatest value seen.
    """
    counts: Counter[int] = Counter()
    bin_s, greatest_s, bins = 0.0, 0.0, 0
    for histogram in histograms:
        counts.update({int(number): count for number, count in histogram["counts"].items()})
        bin_s, bins = histogram["bin_s"], histogram["bins"]
        greatest_s = max(greatest_s, histogram["max_s"])
    rank = -(-counts.total() * 99 // 100)
    seen = 0
    for number in sorted(counts):
        seen += counts[number]
        if seen >= rank:
            return greatest_s if number >= bins else float((number + 1) * bin_s)
    return None

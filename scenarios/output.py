"""What the load process writes: the attempts as they happen, and its status each second."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scenarios.outcome import IN_FLIGHT_AT_END, Outcome

HEADER = "event,arrival,user,attempt,at_s,outcome,status,code,replica\n"


class AttemptLog:
    """The CSV of attempts: a line when one is sent, a line when it ends.

    Lines gather in memory until `flush`, which hands whole lines to ``write``. Times are written
    with all their digits. `open` knows the attempts that were sent and have not ended.
    """

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._closed = False
        self._lines: list[str] = [HEADER]
        self.open: dict[int, tuple[int, int]] = {}
        self.flush()

    def sent(self, arrival: int, user: int, attempt: int, at_s: float) -> None:
        """An attempt is sent now."""
        self.open[arrival] = user, attempt
        self._lines.append(f"sent,{arrival},{user},{attempt},{at_s!r},,,,\n")

    def ended(self, arrival: int, at_s: float, outcome: Outcome) -> None:
        """The open attempt of ``arrival`` has ended; after `close` it stays in flight."""
        if self._closed:
            return
        user, attempt = self.open.pop(arrival)
        status = "" if outcome.status is None else outcome.status
        self._lines.append(
            f"end,{arrival},{user},{attempt},{at_s!r},"
            f"{outcome.bucket},{status},{outcome.code},{outcome.replica}\n"
        )

    def flush(self) -> None:
        """Write what has gathered."""
        data = "".join(self._lines).encode("ascii")
        self._lines.clear()
        if data:
            self._write(data)

    def close(self) -> None:
        """Write open attempts as in flight at the end (without an instant), then the rest."""
        for arrival, (user, attempt) in self.open.items():
            self._lines.append(f"end,{arrival},{user},{attempt},,{IN_FLIGHT_AT_END},,,\n")
        self.open.clear()
        self.flush()
        self._closed = True


class AppendedFile:
    """A file that grows by whole pieces, each written when `write` returns."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def write(self, data: bytes) -> None:
        """Append ``data``."""
        while data:
            data = data[self._file.write(data) or 0 :]

    def close(self) -> None:
        """Nothing is appended any more."""
        self._file.close()


class StartLag:
    """How late first attempts were sent: a histogram, so that its p99 costs the same at any time
    and several processes' can be added up.

    Bins of 0.1 ms up to 2 s; later ones share the last bin and are reported as the greatest seen.
    """

    BIN_S = 1e-4
    BINS = 20_000

    def __init__(self) -> None:
        self._counts = [0] * (self.BINS + 1)
        self._count = 0
        self._max_s = 0.0

    def add(self, lag_s: float) -> None:
        """A first attempt was sent ``lag_s`` seconds after its intended instant."""
        self._counts[min(int(max(lag_s, 0.0) / self.BIN_S), self.BINS)] += 1
        self._count += 1
        self._max_s = max(self._max_s, lag_s)

    def p99_s(self) -> float | None:
        """Upper end of the bin with the 99th percentile (nearest rank); None without any."""
        if self._count == 0:
            return None
        rank = -(-self._count * 99 // 100)
        seen = 0
        for number, count in enumerate(self._counts[:-1], start=1):
            seen += count
            if seen >= rank:
                return number * self.BIN_S
        return self._max_s

    def histogram(self) -> dict[str, Any]:
        """``counts`` by the number of the bin, from 0 and without the empty ones; bin number
        ``bins`` has all that is later. ``bin_s`` is a bin's width, ``max_s`` the greatest lag."""
        counts = {str(number): count for number, count in enumerate(self._counts) if count}
        return {
            "bin_s": self.BIN_S,
            "bins": self.BINS,
            "counts": counts,
            "max_s": self._max_s,
        }


def write_status(path: Path, status: dict[str, Any]) -> None:
    """Replace the status file; a reader sees the old or the new one, whole."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
        json.dump(status, file)
    os.replace(file.name, path)

"""A worker as its master knows it: its shard, its clock, what it sent and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from scenarios.clock_offset import ClockOffset, Exchange, clock_offset
from scenarios.output import AppendedFile


@dataclass
class Peer:
    """One worker. ``number`` is its shard's, below 0 until it has one."""

    client_id: str
    name: str
    number: int = -1
    arrivals: int = 0
    loaded: bool = False
    ready: bool = False
    ended: bool = False
    unable: str = ""
    lost: str = ""
    batches: int = 0
    file: AppendedFile | None = None
    began_with: ClockOffset | None = None
    exchanges: list[Exchange] = field(default_factory=list)
    wall_minus_monotonic_s: float = 0.0

    @property
    def present(self) -> bool:
        """Whether anything is still expected of it."""
        return not (self.lost or self.ended)

    def answered(self, data: dict[str, Any], received_s: float) -> None:
        """It has answered a ping; ``received_s`` by the master's monotonic clock."""
        self.exchanges.append(Exchange(data["sent_s"], data["monotonic_s"], received_s))
        self.wall_minus_monotonic_s = data["wall_s"] - data["monotonic_s"]

    def offset(self) -> ClockOffset:
        """Its monotonic clock against the master's, by the answers since the last reset."""
        return clock_offset(self.exchanges)

    def wall_skew_s(self, our_wall_minus_monotonic_s: float) -> float:
        """By how much its wall clock is ahead of the master's."""
        ours_s = our_wall_minus_monotonic_s
        return self.wall_minus_monotonic_s - ours_s + self.offset().offset_s

    def take(self, batch: int, lines: bytes) -> str:
        """Keep lines of its CSV; what is wrong with them, empty where nothing is.

        They are kept in either case: what was sent was sent.
        """
        expected, self.batches = self.batches, batch + 1
        if self.file is not None:
            self.file.write(lines)
        return "" if batch == expected else f"of its lines, batches {expected} to {batch} were lost"

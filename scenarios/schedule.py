"""The arrivals that this process plays, and the clock it plays them by."""

from __future__ import annotations

import csv
import time
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import NamedTuple

COLUMNS = ["arrival", "user", "intended_s", "address", "wrong_password"]


class Arrival(NamedTuple):
    """One login that is meant to begin at ``intended_s``, however often it is tried."""

    number: int
    user: int
    intended_s: float
    address: str
    wrong_password: bool


class Addresses:
    """IP addresses one after the other, 4 or 16 bytes each; a string each would take 60."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._ends = array("q")

    def append(self, text: str) -> None:
        """Raises ValueError for what is no address: it will stand in a request's head."""
        try:
            self._bytes += inet_pton(AF_INET6 if ":" in text else AF_INET, text)
        except OSError as error:
            raise ValueError(f"{text!r} is not an IP address") from error
        self._ends.append(len(self._bytes))

    def __iter__(self) -> Iterator[str]:
        begin = 0
        for end in self._ends:
            yield inet_ntop(AF_INET if end - begin == 4 else AF_INET6, self._bytes[begin:end])
            begin = end


@dataclass(frozen=True)
class Schedule:
    """Arrivals in the order of their intended instants, as compact as they come."""

    numbers: array[int] = field(default_factory=lambda: array("q"))
    users: array[int] = field(default_factory=lambda: array("q"))
    intended_s: array[float] = field(default_factory=lambda: array("d"))
    addresses: Addresses = field(default_factory=Addresses)
    wrong_passwords: bytearray = field(default_factory=bytearray)

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[Arrival]:
        return map(
            Arrival,
            self.numbers,
            self.users,
            self.intended_s,
            self.addresses,
            map(bool, self.wrong_passwords),
        )


def read_schedule(path: Path, *, shard: int, shards: int) -> Schedule:
    """The arrivals of the CSV with ``arrival % shards == shard``; raises as `parse_schedule`."""
    with path.open(encoding="ascii", newline="") as file:
        return parse_schedule(file, path.name, shard=shard, shards=shards)


def parse_schedule(lines: Iterable[str], source: str, *, shard: int, shards: int) -> Schedule:
    """The arrivals of the CSV ``lines`` with ``arrival % shards == shard``.

    Raises ValueError, naming ``source``, for other columns, for what is no number, no address or
    neither 0 nor 1, and for arrivals that are not sorted by intended instant.
    """
    schedule = Schedule()
    rows = csv.reader(lines)
    if next(rows, None) != COLUMNS:
        raise ValueError(f"{source}: the columns must be {','.join(COLUMNS)}")
    before_s = 0.0
    for number_text, user_text, intended_text, address, wrong_password in rows:
        number, intended_s = int(number_text), float(intended_text)
        if intended_s < before_s:
            raise ValueError(f"{source}: arrival {number} comes before the one above it")
        before_s = intended_s
        if number % shards == shard:
            schedule.numbers.append(number)
            schedule.users.append(int(user_text))
            schedule.intended_s.append(intended_s)
            schedule.addresses.append(address)
            schedule.wrong_passwords.append(_flag(wrong_password))
    return schedule


def shard_out(path: Path, shards: int) -> list[str]:
    """The CSV as one CSV a shard, each line in exactly one of them: ``arrival % shards``.

    Raises ValueError for other columns, and for an arrival that is no number.
    """
    with path.open(encoding="ascii", newline="") as file:
        header = file.readline()
        if header.strip().split(",") != COLUMNS:
            raise ValueError(f"{path.name}: the columns must be {','.join(COLUMNS)}")
        parts: list[list[str]] = [[header] for _ in range(shards)]
        for line in file:
            parts[int(line.partition(",")[0]) % shards].append(line)
    return ["".join(part) for part in parts]


def _flag(text: str) -> int:
    if text not in ("0", "1"):
        raise ValueError(f"wrong_password is {text!r}: 0 or 1 is expected")
    return int(text)


class ReplayClock:
    """Seconds since t0, by the monotonic clock: a wall clock set meanwhile cannot tear it."""

    def __init__(self, t0_monotonic: float) -> None:
        self._t0 = t0_monotonic

    @classmethod
    def from_epoch(cls, t0_epoch: float) -> ReplayClock:
        """By the wall clock as it stands now."""
        return cls(time.monotonic() + (t0_epoch - time.time()))

    @property
    def t0_monotonic(self) -> float:
        """t0 by this process's monotonic clock."""
        return self._t0

    def now_s(self) -> float:
        """Replay time; negative before t0."""
        return time.monotonic() - self._t0

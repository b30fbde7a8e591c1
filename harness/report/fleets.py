"""Sized fleets as a table: a row each, for a terminal and for a page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.report.words import duration, number, percent
from harness.sizing import (
    EPHEMERAL_PORTS,
    Fleet,
    busy_connections,
    client_ports,
    first_timeout_s,
    square_root_staffing,
)


@dataclass(frozen=True, slots=True)
class SizedFleet:
    """A fleet, and what stands around it.

    ``timeout_s`` is the pools' timeout, ``generators`` the cores that offer the load,
    ``hash_s`` what one password costs a core (0: not asked for), ``granted`` the connections that
    the database has for the fleet (None: not said).
    """

    fleet: Fleet
    timeout_s: float
    generators: int
    hash_s: float = 0.0
    granted: int | None = None

    @property
    def carried(self) -> bool:
        """Whether the pools carry the rate, and the database the pools."""
        within = self.granted is None or self.fleet.connections <= self.granted
        return self.fleet.utilisation < 1 and within

    @property
    def hash_cores(self) -> float:
        """Cores that do nothing but verify passwords."""
        return self.fleet.rate_per_s * self.hash_s

    @property
    def waiting(self) -> float:
        """Requests that wait at once in lasting overload without retries, at most: *λ T*."""
        return self.fleet.rate_per_s * self.timeout_s if self.fleet.utilisation > 1 else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Plain values, seconds and ratios; null where there is no finite one."""
        fleet = self.fleet
        return {
            "rate_per_s": fleet.rate_per_s,
            "hold_s": fleet.hold_s,
            "replicas": fleet.replicas,
            "pool": fleet.pool,
            "connections": fleet.connections,
            "busy": busy_connections(fleet.rate_per_s, fleet.hold_s),
            "capacity_per_s": fleet.capacity_per_s,
            "utilisation": fleet.utilisation,
            "beta": square_root_staffing(fleet.offered, fleet.pool),
            "wait_probability": fleet.wait_probability,
            "wait_mean_s": _finite(fleet.mean_wait_s),
            "wait_p99_s": _finite(fleet.wait_quantile_s(0.99)),
            "first_timeout_s": first_timeout_s(fleet.utilisation, self.timeout_s),
            "failing": fleet.failing,
            "waiting_at_most": self.waiting,
            "granted": self.granted,
            "generators": self.generators,
            "client_ports": client_ports(fleet.rate_per_s, fleet.hold_s),
            "client_addresses": self.addresses,
            "hash_cores": self.hash_cores,
            "carried": self.carried,
        }

    @property
    def addresses(self) -> int:
        """Client addresses whose ports suffice, if the clients close first: the worst case."""
        ports = client_ports(self.fleet.rate_per_s, self.fleet.hold_s)
        return math.ceil(ports / EPHEMERAL_PORTS)


def table_of(fleets: Sequence[SizedFleet]) -> tuple[list[str], list[list[str]]]:
    """Headings and cells; a column that says nothing about any of the fleets is left out."""
    overloaded = any(each.fleet.utilisation > 1 for each in fleets)
    columns = {
        "logins": [f"{number(each.fleet.rate_per_s)}/s" for each in fleets],
        "replicas × pool": [f"{number(f.fleet.replicas)} × {number(f.fleet.pool)}" for f in fleets],
        "connections": [_connections(each) for each in fleets],
        "busy": [number(busy_connections(f.fleet.rate_per_s, f.fleet.hold_s)) for f in fleets],
        "ρ": [f"{each.fleet.utilisation:.2f}" for each in fleets],
        "β": [f"{square_root_staffing(f.fleet.offered, f.fleet.pool):.2f}" for f in fleets],
        "wait": [percent(each.fleet.wait_probability) for each in fleets],
        "wait p99": [_wait(each.fleet.wait_quantile_s(0.99)) for each in fleets],
    }
    if overloaded:
        columns |= {
            "first timeout after": [_first(each) for each in fleets],
            "fail": [percent(each.fleet.failing) for each in fleets],
            "waiting at once": [number(each.waiting) for each in fleets],
        }
    if any(each.hash_s for each in fleets):
        columns["cores that hash"] = [number(math.ceil(each.hash_cores)) for each in fleets]
    columns["cores of load"] = [number(each.generators) for each in fleets]
    columns["client addresses"] = [number(each.addresses) for each in fleets]
    return list(columns), [list(row) for row in zip(*columns.values(), strict=True)]


def _connections(sized: SizedFleet) -> str:
    text = number(sized.fleet.connections)
    return text if sized.granted is None else f"{text} of {number(sized.granted)}"


def _first(sized: SizedFleet) -> str:
    after_s = first_timeout_s(sized.fleet.utilisation, sized.timeout_s)
    return "–" if after_s is None else duration(after_s)


def _wait(seconds: float) -> str:
    return duration(seconds) if math.isfinite(seconds) else "grows"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None

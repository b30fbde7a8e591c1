"""The connections that a rate of logins needs: Little's law, Erlang C, a queue's growth; pure.

These are stationary predictions of a queue with Poisson arrivals, exponential hold times and one
first-come-first-served line before each pool (M/M/c). Hold times that vary less wait less: constant
ones about half as long. Nothing here knows of retries, of a database that slows down under load, or
of a surge's first seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

MOST_BUSY = 1_000_000
"""Connections busy at once up to which a fleet is computed; the recursion has a step each."""

WAIT_SHARE = 0.01
"""The share of logins that may wait longer than is wished: a p99."""

TIME_WAIT_S = 60.0
"""How long Linux keeps a closed connection's ports (``TCP_TIMEWAIT_LEN``, include/net/tcp.h)."""

EPHEMERAL_PORTS = 60_999 - 32_768 + 1
"""What one address can open towards one address and port (``ip_local_port_range``'s default)."""


def busy_connections(rate_per_s: float, hold_s: float) -> float:
    """Connections that are in use on average: Little's law, *L = λ W*.

    ``hold_s`` is what one login holds connections for, all its checkouts together.
    """
    return rate_per_s * hold_s


def erlang_c(servers: int, offered: float) -> float:
    """The probability that an arrival must wait, of M/M/c with ``offered`` = λ W erlangs.

    *C = B / (1 − ρ (1 − B))*, *ρ = offered / servers*, with Erlang's loss formula *B* by its
    recursion *1 / B(c) = 1 + c / offered · 1 / B(c−1)*, *B(0) = 1*, which is stable for any size.
    1 where ρ ≥ 1: everybody waits. (Cooper, "Introduction to Queueing Theory", 2nd ed., ch. 3.)

    Raises ValueError where there is no server or the load is negative or not finite.
    """
    if servers < 1 or not 0 <= offered < math.inf:
        raise ValueError(f"no queue has {servers} servers and {offered} erlangs")
    if offered == 0:
        return 0.0
    if offered >= servers:
        return 1.0
    inverse = 1.0
    for count in range(1, servers + 1):
        inverse = 1 + inverse * count / offered
    return _wait_probability(inverse, servers, offered)


def _wait_probability(inverse_loss: float, servers: int, offered: float) -> float:
    loss = 1 / inverse_loss  # 0.0 where the inverse has left the range of doubles
    return loss / (1 - offered / servers * (1 - loss))


def smallest_pool(
    rate_per_s: float, hold_s: float, *, wait_s: float, share: float = WAIT_SHARE
) -> int:
    """Connections that one pool needs so that at most ``share`` of the logins wait past ``wait_s``.

    Raises ValueError beyond `MOST_BUSY` connections, and where there is nothing to compute.
    """
    offered = busy_connections(rate_per_s, hold_s)
    if not 0 < offered <= MOST_BUSY or not 0 < share < 1:
        raise ValueError(f"{offered:g} busy connections: more than 0, at most {MOST_BUSY}")
    inverse, servers = 1.0, 0
    while True:
        servers += 1
        inverse = 1 + inverse * servers / offered
        if servers <= offered:
            continue
        waits = _wait_probability(inverse, servers, offered)
        if waits * math.exp(-(servers - offered) / hold_s * wait_s) <= share:
            return servers


def first_timeout_s(utilisation: float, timeout_s: float) -> float | None:
    """*T ρ / (ρ − 1)*: from the overload's beginning to the first pool timeout; None where ρ ≤ 1.

    Of ρ alone: two connections and two thousand give up at the same second.
    """
    if utilisation <= 1 or not math.isfinite(timeout_s):
        return None
    return timeout_s * utilisation / (utilisation - 1)


def square_root_staffing(offered: float, servers: int) -> float:
    """β of *servers = offered + β √offered*: the same β, the same chance to wait, at any size.

    (Halfin and Whitt, "Heavy-Traffic Limits for Queues with Many Exponential Servers", 1981.)
    """
    return (servers - offered) / math.sqrt(offered)


def client_ports(rate_per_s: float, latency_s: float) -> float:
    """Ports in use on the clients' side, where each login opens a connection: *λ (W + TIME_WAIT)*.

    At most: whichever end closes first keeps the connection's ports for `TIME_WAIT_S`.
    """
    return rate_per_s * (latency_s + TIME_WAIT_S)


@dataclass(frozen=True, slots=True)
class Fleet:
    """``replicas`` pools of ``pool`` connections each, over which a rate spreads evenly."""

    rate_per_s: float
    hold_s: float
    replicas: int
    pool: int

    @property
    def connections(self) -> int:
        """What the database must grant."""
        return self.replicas * self.pool

    @property
    def offered(self) -> float:
        """Erlangs a pool: connections that would be busy on average."""
        return busy_connections(self.rate_per_s, self.hold_s) / self.replicas

    @property
    def capacity_per_s(self) -> float:
        """Logins that all pools carry: limit / hold time."""
        return self.connections / self.hold_s

    @property
    def utilisation(self) -> float:
        """ρ: the rate in proportion to the capacity; 1 and more is overload."""
        return self.offered / self.pool

    @property
    def wait_probability(self) -> float:
        """The share of logins that find their pool full."""
        return erlang_c(self.pool, self.offered)

    @property
    def mean_wait_s(self) -> float:
        """*C W / (c (1 − ρ))*, those that do not wait included; infinite in overload."""
        if self.utilisation >= 1:
            return math.inf
        return self.wait_probability * self.hold_s / (self.pool - self.offered)

    def waits_longer(self, seconds: float) -> float:
        """The share of logins that wait past ``seconds``: *C exp(−(c − a) t / W)*."""
        if self.utilisation >= 1:
            return 1.0
        return self.wait_probability * math.exp(-(self.pool - self.offered) * seconds / self.hold_s)

    def wait_quantile_s(self, quantile: float) -> float:
        """What that share of the logins waits at most: 0 where fewer wait at all."""
        if self.utilisation >= 1:
            return math.inf
        waits, share = self.wait_probability, 1 - quantile
        if waits <= share:
            return 0.0
        return math.log(waits / share) * self.hold_s / (self.pool - self.offered)

    @property
    def failing(self) -> float:
        """The share that fails in lasting overload without retries: *1 − 1/ρ*; 0 below it."""
        return max(0.0, 1 - 1 / self.utilisation)


def smallest_fleet(rate_per_s: float, hold_s: float, *, replicas: int, wait_s: float) -> Fleet:
    """The fleet of that many replicas whose pools are as small as the wait permits.

    Raises ValueError as `smallest_pool` does.
    """
    pool = smallest_pool(rate_per_s / replicas, hold_s, wait_s=wait_s)
    return Fleet(rate_per_s, hold_s, replicas, pool)

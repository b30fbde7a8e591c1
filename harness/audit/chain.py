"""The chain that a request goes along: client, gateway, workload, pool, PgBouncer, PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from harness.audit.parts import (
    Alert,
    Client,
    Gateway,
    Histogram,
    Monitor,
    Package,
    Pool,
    Pooler,
    Proxy,
    Recording,
    Server,
    Watch,
    Workload,
    not_said,
)
from harness.audit.paths import common, folder_of
from harness.audit.values import Value

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""Names that every machine has for itself, and no file for a workload."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What the user says of the load: logins a second at the peak, and for how long each holds."""

    peak_per_s: float | None = None
    hold_s: float | None = None
    slo_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Chain:
    """Everything that was read, joined."""

    clients: tuple[Client, ...] = ()
    gateways: tuple[Gateway, ...] = ()
    workloads: tuple[Workload, ...] = ()
    proxies: tuple[Proxy, ...] = ()
    poolers: tuple[Pooler, ...] = ()
    servers: tuple[Server, ...] = ()
    monitors: tuple[Monitor, ...] = ()
    alerts: tuple[Alert, ...] = ()
    recordings: tuple[Recording, ...] = ()
    watches: tuple[Watch, ...] = ()
    histograms: tuple[Histogram, ...] = ()
    packages: tuple[Package, ...] = ()
    peak_per_s: Value[float] = field(default_factory=not_said)
    slo_s: Value[float] = field(default_factory=not_said)
    """Within which a request must be answered."""

    def pools(self) -> tuple[tuple[Workload, Pool], ...]:
        """Every pool with the workload whose it is."""
        return tuple((workload, pool) for workload in self.workloads for pool in workload.pools)

    def pooler_of(self, pool: Pool) -> Pooler | None:
        """The pooler that ``pool`` connects through; None where it connects to the server itself.

        A pool whose other end no file names goes through the pooler, where there is one: those
        who run one mean it for their pools. Not where it stands before another server than the
        one that is declared nearer to the pool's workload: a project beside, in the same tree.
        """
        if pool.reaches:
            return self._poolers_by_name.get(pool.reaches)
        if len(self.poolers) != 1 or id(pool) in self._of_other_servers:
            return None
        return self.poolers[0]

    @cached_property
    def _of_other_servers(self) -> frozenset[int]:
        """Pools, by identity, to whose workload another server is nearer than the one pooler."""
        behind = {each.reaches for each in self.poolers}
        if not behind & {each.name for each in self.servers}:
            return frozenset()
        others = [each.place.file for each in self.servers if each.name not in behind]
        found = set[int]()
        for workload in self.workloads:
            folder = folder_of(workload.place.file)
            depth = max((common(folder, each.place.file) for each in self.poolers), default=0)
            if any(common(folder, file) > depth for file in others):
                found.update(map(id, workload.pools))
        return frozenset(found)

    def server_of(self, end: Pool | Pooler) -> Server | None:
        """The server behind a pool or a pooler; None where it is not known which it is."""
        if isinstance(end, Pool) and (pooler := self.pooler_of(end)) is not None:
            return self.server_of(pooler)
        if end.reaches:
            return self._servers_by_name.get(end.reaches)
        return self.servers[0] if len(self.servers) == 1 else None

    def behind(self, end: Pooler | Server) -> tuple[tuple[Workload, Pool], ...]:
        """Pools that connect to this pooler, or to this server without one between."""
        if isinstance(end, Pooler):
            return tuple(each for each in self.pools() if self.pooler_of(each[1]) == end)
        return tuple(
            each
            for each in self.pools()
            if self.pooler_of(each[1]) is None and self.server_of(each[1]) == end
        )

    def served_by(self, gateway: Gateway) -> tuple[tuple[Workload, Pool], ...]:
        """Pools of the workloads that this gateway sends requests to.

        Where its upstreams name workloads, these. Where they do not, and those of other gateways
        do, it is about something else. Else no name is to be relied upon: all that may serve.
        """
        number = self._numbers.get(id(gateway))
        return self._served[self.gateways.index(gateway) if number is None else number]

    def gateways_of(self, pool: Pool) -> tuple[Gateway, ...]:
        """The gateways whose requests use ``pool``, which is one of this chain's."""
        return tuple(self.gateways[number] for number in self._serving.get(id(pool), ()))

    @cached_property
    def _numbers(self) -> Mapping[int, int]:
        """The gateways' numbers, by identity."""
        return {id(each): number for number, each in enumerate(self.gateways)}

    @cached_property
    def _poolers_by_name(self) -> Mapping[str, Pooler]:
        """The first of each name."""
        return {each.name: each for each in reversed(self.poolers)}

    @cached_property
    def _servers_by_name(self) -> Mapping[str, Server]:
        """The first of each name."""
        return {each.name: each for each in reversed(self.servers)}

    @cached_property
    def _served(self) -> tuple[tuple[tuple[Workload, Pool], ...], ...]:
        """For each gateway, what it serves: asked for by many rules, for each pool again."""
        by_host: dict[str, list[Workload]] = {}
        for workload in self.workloads:
            for host in workload.hosts:
                by_host.setdefault(host, []).append(workload)
        named = [self._named(gateway, by_host) for gateway in self.gateways]
        all_serving = [each for each in self.workloads if each.serves.known is not False]
        served = []
        for gateway, workloads in zip(self.gateways, named, strict=True):
            elsewhere = not workloads and set(gateway.upstreams) - LOOPBACK and any(named)
            chosen = [] if elsewhere else workloads or all_serving
            served.append(tuple((each, pool) for each in chosen for pool in each.pools))
        return tuple(served)

    @cached_property
    def _serving(self) -> Mapping[int, list[int]]:
        """Numbers of the gateways of each pool, by the pool's identity."""
        found: dict[int, list[int]] = {}
        for number, served in enumerate(self._served):
            for _, pool in served:
                found.setdefault(id(pool), []).append(number)
        return found

    @staticmethod
    def _named(gateway: Gateway, by_host: Mapping[str, list[Workload]]) -> list[Workload]:
        """The workloads that its upstreams name, each the nearest of that name."""
        found: dict[int, Workload] = {}
        for host in gateway.upstreams:
            near = [
                (common(gateway.place.file, each.place.file), each)
                for each in by_host.get(host, ())
            ]
            most = max((depth for depth, _ in near), default=0)
            found.update({id(each): each for depth, each in near if depth == most})
        return list(found.values())

    def limits_of(self, pool: Pool) -> tuple[tuple[str, Value[float]], ...]:
        """What ends an idle connection of ``pool`` from outside, with each one's seconds."""
        found = [(each.name, each.idle_timeout_s) for each in self.proxies]
        if (pooler := self.pooler_of(pool)) is not None:
            return (*found, (pooler.name, pooler.client_idle_timeout_s))
        if (server := self.server_of(pool)) is not None:
            found.append((server.name, self.idle_session_timeout_of(pool)))
        return tuple(found)

    def idle_session_timeout_of(self, end: Pool | Pooler) -> Value[float]:
        """After which the server ends an idle session: its role's own timeout, else the server's.

        A pooler whose databases name no role has the roles of the pools behind it.
        """
        server = self.server_of(end)
        own = end.idle_session_timeout_s
        if isinstance(end, Pooler) and not own.is_known:
            roles = [pool.idle_session_timeout_s for _, pool in self.behind(end)]
            if roles and all(each.is_known for each in roles):
                own = min(roles, key=lambda each: each.known or 0.0)
        return own if server is None else own.or_else(server.idle_session_timeout_s)

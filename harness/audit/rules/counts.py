"""What rules about the database reckon with: connections that pools and poolers may open."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from harness.audit.chain import Chain
from harness.audit.finding import Severity, Unknown, needs
from harness.audit.parts import Pool, Pooler, PoolerDatabase, Server, Workload
from harness.audit.rules.alternatives import greatest
from harness.audit.rules.inputs import capacity_of, counted, held_at_most
from harness.audit.values import Place, Value


@dataclass(frozen=True, slots=True)
class Lack:
    """What is not known, of all that a count is made of."""

    what: str
    value: Value[float] | Value[int]
    place: Place

    def needed_by(self, rule: str) -> Unknown:
        """That ``rule`` needs it."""
        return needs(rule, self.what, self.value, self.place)


@dataclass(frozen=True, slots=True)
class Demand:
    """Connections that may be open at once.

    ``most`` counts what is known: with ``lacks``, there may be more. ``surge`` come on top while a
    rolling deploy lasts. ``shown`` is the sum as it is written; ``place`` where its greatest part
    is set. ``used`` is what all threads hold at once, where these are what limits it. ``defaults``
    are those among its numbers that nobody has set, as words.
    """

    most: float = 0.0
    shown: str = ""
    lacks: Lack | None = None
    surge: float = 0.0
    place: Place | None = None
    used: float = math.inf
    defaults: tuple[str, ...] = ()

    @property
    def busy(self) -> float:
        """Connections that can be in use at once."""
        return min(self.used, self.most)

    def severity(self, grant: float) -> Severity:
        """Of more than ``grant``: a warning where it takes threads that are not there yet."""
        return "error" if self.busy > grant else "warning"

    def bounded(self, grant: float) -> str:
        """What to say of it then; "" else."""
        if self.severity(grant) == "error":
            return ""
        return (
            ", once there are the threads to ask for it: those that there are hold "
            f"{self.used:g} at the most"
        )

    @property
    def total(self) -> str:
        """`24 connections`, and that there may be more."""
        if math.isinf(self.most):
            return "any number of connections"
        return f"{'at least ' if self.lacks else ''}{counted(self.most, 'connection')}"

    @property
    def described(self) -> str:
        """With the sum: `2 × 12 = 24 connections`, and that it may be more."""
        if math.isinf(self.most) or not set(self.shown) & set("×+"):
            return self.total
        at_least = "at least " if self.lacks else ""
        usual = f" ({', '.join(self.defaults)})" if self.defaults else ""
        return f"{at_least}{self.shown} = {counted(self.most, 'connection')}{usual}"


def of_pools(pools: Iterable[tuple[Workload, Pool]]) -> Demand:
    """Processes × (size + overflow), over all of them that may exist at once.

    A program of which nothing says how many run may be one that never runs beside the others. It
    counts with one process, alone: where that is more than all others have, it is the bound.
    """
    pools = tuple(pools)
    known: list[_Held] = []
    apart: dict[str, list[_Held]] = {}
    lacks = next((lack for each in pools if (lack := lack_of(*each))), None)
    for workload, pool in greatest(pools, lambda *each: _Held.of(*each).most):
        members = known if workload.instances.is_known else apart.setdefault(workload.name, [])
        members.append(_Held.of(workload, pool))
    groups = [members for members in (known, *apart.values()) if members]
    if not groups:
        return Demand()
    chosen = max(groups, key=lambda members: sum(each.most for each in members))
    largest = max(chosen, key=lambda each: each.most)
    return Demand(
        sum(each.most for each in chosen),
        " + ".join(each.shown for each in chosen),
        lacks,
        sum(each.surge for each in chosen),
        largest.place,
        sum(each.used for each in chosen),
        tuple(dict.fromkeys(each.usual for each in chosen if each.usual)),
    )


@dataclass(frozen=True, slots=True)
class _Held:
    """What the processes of one workload may hold with one of their pools."""

    most: float
    shown: str
    surge: float
    used: float
    place: Place
    usual: str

    @classmethod
    def of(cls, workload: Workload, pool: Pool) -> _Held:
        """At the least: of what is not said there is one process, and no overflow."""
        processes = _or(workload.processes, 1)
        count = _or(workload.replicas, 1) * processes
        more = _or(workload.surge, 0.0) * processes
        capacity = _or(pool.size, 0.0) + _or(pool.max_overflow, 0.0)
        if pool.implementation == "none":
            capacity = _or(capacity_of(workload, pool), 0.0)
        if math.isinf(capacity):  # threads are all that bounds it
            capacity = held_at_most(workload, pool)
        # It opens a connection when one is asked for, beyond those that it keeps for nobody.
        kept = 0.0 if pool.implementation == "sqlalchemy" else _or(pool.min_size, capacity)
        used = min(capacity, max(kept, held_at_most(workload, pool)))
        return cls(
            count * capacity if count else 0.0,
            f"{count:g} × {capacity:g}",
            more * capacity if more else 0.0,
            count * used if count else 0.0,
            pool.capacity.place or pool.place,
            _usual(pool, capacity),
        )


def _usual(pool: Pool, capacity: float) -> str:
    """``15 is SQLAlchemy's default``, of a pool that nobody has sized."""
    size, overflow = pool.size, pool.max_overflow
    alone = overflow.known == 0 or (overflow.origin, overflow.why) == ("default", size.why)
    if size.origin != "default" or not alone or ":" in size.why:
        return ""
    return f"{capacity:g} is {size.why}'s default"


def of_pooler(chain: Chain, pooler: Pooler) -> Demand:
    """Connections that a pooler may have open behind it.

    Databases × users × (pool_size + reserve_pool_size), within its limits, for each replica; and no
    more than its clients have. Where no file lists databases or users, those of the pools count.
    """
    clients = of_pools(chain.behind(pooler))
    size = pooler.default_pool_size
    if not size.is_known and not any(each.pool_size.is_known for each in pooler.databases):
        return Demand(lacks=Lack(f"default_pool_size of {pooler.name}", size, pooler.place))
    users = users_of(chain, pooler)
    most, parts = 0.0, []
    for count, database in _databases(chain, pooler):
        pools = 1 if database is not None and database.user.is_known else users
        each = size_of(pooler, database)
        limit = limit_of(pooler, database)
        most += count * min(each * pools, limit)
        words = (f"{number:g}" for number in (count, pools) if number != 1)
        parts.append(" × ".join((*words, f"{min(each, limit):g}")))
    replicas = _or(pooler.replicas, 1)
    most = most * replicas if replicas else 0.0
    shown = " + ".join(parts)
    if replicas != 1:
        shown = f"{replicas:g} × ({shown})" if len(parts) > 1 else f"{replicas:g} × {shown}"
    place = size.place or pooler.place
    whole = bool(clients.shown) and clients.lacks is None
    used = clients.used if whole else math.inf
    if whole and clients.most < most:
        return Demand(clients.most, clients.shown, None, clients.surge, place, used)
    return Demand(most, shown, None, 0.0, place, used)


def size_of(pooler: Pooler, database: PoolerDatabase | None) -> float:
    """Connections of one pool of a pooler, the reserve included."""
    size, reserve = _or(pooler.default_pool_size, 0.0), _or(pooler.reserve_pool_size, 0.0)
    if database is not None:
        size, reserve = _or(database.pool_size, size), _or(database.reserve_pool_size, reserve)
    return size + reserve


def limit_of(pooler: Pooler, database: PoolerDatabase | None) -> float:
    """Connections that one database may have, all users together."""
    limit = _or(pooler.max_db_connections, math.inf)
    return limit if database is None else _or(database.max_connections, limit)


def users_of(chain: Chain, pooler: Pooler) -> int:
    """Users that are known to connect through a pooler; one where none is known."""
    named = {pool.target.user.known for _, pool in chain.behind(pooler)} - {None}
    return max(1, len(named))


def database_of(pooler: Pooler, name: str | None) -> PoolerDatabase | None:
    """The line that a database of that name is served by."""
    for wanted in (name, "*"):
        for each in pooler.databases:
            if each.name == wanted:
                return each
    return pooler.databases[0] if len(pooler.databases) == 1 else None


def reaching(chain: Chain, server: Server) -> tuple[tuple[Workload, Pool], ...]:
    """Every pool whose connections end at ``server``, through a pooler or not."""
    return tuple(each for each in chain.pools() if chain.server_of(each[1]) == server)


def granted(server: Server, grant: float) -> str:
    """How many connections, and that it may be fewer where not all is known that is kept back."""
    return f"{grant:g}" if server.grant.is_known else f"{grant:g} at the most"


def poolers_before(chain: Chain, server: Server) -> tuple[Pooler, ...]:
    """Poolers whose connections end at ``server``."""
    return tuple(each for each in chain.poolers if chain.server_of(each) == server)


def _databases(chain: Chain, pooler: Pooler) -> list[tuple[int, PoolerDatabase | None]]:
    """How many databases each line stands for; where there is none, those that pools name."""
    own = {each.name for each in pooler.databases}
    asked = {pool.target.database.known for _, pool in chain.behind(pooler)} - {None}
    others = max(len(asked - own), 0 if asked & own else 1)
    if not pooler.databases:
        return [(max(1, len(asked)), None)]
    return [(others if each.name == "*" else 1, each) for each in pooler.databases]


def lack_of(workload: Workload, pool: Pool) -> Lack | None:
    """What is not known of the connections that the processes of a workload may have."""
    for what, value in (
        (f"the processes of {workload.name}", workload.instances),
        (f"the capacity of {workload.name}'s pool", capacity_of(workload, pool)),
    ):
        if not value.is_known:
            return Lack(what, value, pool.place)
    return None


def _or(value: Value[float] | Value[int], otherwise: float) -> float:
    return otherwise if value.known is None else value.known

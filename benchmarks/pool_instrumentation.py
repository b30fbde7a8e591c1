"""What measuring a pool costs: bare, with ours and with OpenTelemetry's, side by side.

    python -m benchmarks.pool_instrumentation [--json] [--dsn postgresql://…]

Each case runs its three variants in turn, hundreds of times in one process, so that whatever else
the machine does falls on all of them alike; figures are medians of those turns, in this thread's
processor time. That is the stricter measure: what the books add to a login is processor time, and a
login takes longer than its processor time, so the ratio of latencies is lower still. On PostgreSQL,
bare and ours share one engine, measured in one turn and not in the next: two server processes
differ by more than what is to be found.

OpenTelemetry's engine instrumentation makes spans and one gauge. Without its SDK installed it runs
its hooks and records nothing, which is its least cost.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import thread_time
from typing import Any, cast

from prometheus_client import CollectorRegistry
from rich.console import Console
from rich.table import Table
from sqlalchemy import text
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, QueuePool
from sqlalchemy.util import greenlet_spawn

from auth_service.pool_metrics import instrument

CHECKOUT_LIMIT_US = 10.0
LOGIN_LIMIT_RATIO = 1.02
WARM_UP_TURNS = 20
NOBODY = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One claim and what was measured; ``value`` is held against ``limit``."""

    name: str
    bare_us: float
    ours_us: float
    opentelemetry_us: float | None
    value: float
    unit: str
    limit: float | None

    @property
    def holds(self) -> bool | None:
        """None: informative only."""
        return None if self.limit is None else self.value <= self.limit


class _DummyConnection:
    """The least that a pool needs of a DBAPI connection."""

    def rollback(self) -> None:
        pass

    def close(self) -> None:
        pass


class _DummyDialect(DefaultDialect):
    driver = "dummy"


def measure(dsn: str) -> list[Row]:
    """Run every case, in about 20 s. ``dsn``: a PostgreSQL database, to make two tables in."""
    sync = [_dummy_engine(QueuePool) for _ in range(3)]
    loop = [_dummy_engine(AsyncAdaptedQueuePool) for _ in range(3)]
    real = [_postgres_engine(dsn) for _ in range(2)]
    registry = CollectorRegistry()
    for name, engines in (("sync", sync), ("async", loop)):
        instrument(engines[1], name, registry)
    with _opentelemetry([sync[2], loop[2], real[1].sync_engine]) as available:
        shown = 3 if available else 2
        return [
            _checkout_row("checkout and checkin, sync", _sync_turns(sync[:shown])),
            *asyncio.run(_async_rows(loop[:shown], real[: shown - 1], registry)),
        ]


def _dummy_engine(poolclass: type[QueuePool]) -> Engine:
    dialect = _DummyDialect()
    dialect.is_async = poolclass is AsyncAdaptedQueuePool
    return Engine(
        poolclass(lambda: cast(Any, _DummyConnection()), dialect=dialect),
        dialect,
        make_url("dummy://"),
    )


def _postgres_engine(dsn: str) -> AsyncEngine:
    return create_async_engine(make_url(dsn).set(drivername="postgresql+psycopg"))


@contextmanager
def _opentelemetry(engines: Sequence[Engine]) -> Iterator[bool]:
    try:
        from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
    except ImportError:
        yield False
        return
    instrumentor: Any = SQLAlchemyInstrumentor()
    # It declares itself unfit for SQLAlchemy 2.1; the events it uses are there all the same.
    instrumentor.instrument(engines=list(engines), skip_dep_check=True)
    try:
        yield True
    finally:
        instrumentor.uninstrument()


def _sync_turns(engines: Sequence[Engine], turns: int = 100, batch: int = 200) -> list[list[float]]:
    """Seconds a checkout, by variant and turn."""
    seconds: list[list[float]] = [[] for _ in engines]
    gc.collect()
    for turn in range(turns + WARM_UP_TURNS):
        for variant in _order(turn, len(engines)):
            raw_connection = engines[variant].raw_connection
            began = thread_time()
            for _ in range(batch):
                raw_connection().close()
            if turn >= WARM_UP_TURNS:
                seconds[variant].append((thread_time() - began) / batch)
    return seconds


async def _async_turns(
    works: Sequence[Callable[[], Awaitable[Any]]],
    turns: int,
    batch: int,
    prepare: Callable[[int], None] = lambda variant: None,
) -> list[list[float]]:
    seconds: list[list[float]] = [[] for _ in works]
    gc.collect()
    for turn in range(turns + WARM_UP_TURNS):
        for variant in _order(turn, len(works)):
            work = works[variant]
            prepare(variant)
            began = thread_time()
            for _ in range(batch):
                await work()
            if turn >= WARM_UP_TURNS:
                seconds[variant].append((thread_time() - began) / batch)
    return seconds


def _order(turn: int, variants: int) -> list[int]:
    # Rotating: the first of a turn pays for what the last one left in the processor's caches.
    return [(turn + offset) % variants for offset in range(variants)]


async def _async_rows(
    dummies: Sequence[Engine], real: Sequence[AsyncEngine], registry: CollectorRegistry
) -> list[Row]:
    def measure_or_not(variant: int) -> None:
        if variant < 2:
            metrics = instrument(real[0], "postgres", registry)
        if variant == 0:
            metrics.uninstrument()

    await _make_tables(real[0])
    try:
        checkouts = [lambda e=engine: greenlet_spawn(_use, e) for engine in dummies]
        variants = [real[0], *real]
        selects = [lambda e=engine: _select(e) for engine in variants]
        logins = [lambda e=engine: _login(e) for engine in variants]
        return [
            _checkout_row(
                "checkout and checkin, asyncio", await _async_turns(checkouts, turns=100, batch=150)
            ),
            _ratio_row(
                "SELECT 1 on PostgreSQL",
                await _async_turns(selects, turns=150, batch=5, prepare=measure_or_not),
                None,
            ),
            _ratio_row(
                "login's SQL on PostgreSQL",
                await _async_turns(logins, turns=200, batch=3, prepare=measure_or_not),
                LOGIN_LIMIT_RATIO,
            ),
        ]
    finally:
        for engine in real:
            await engine.dispose()


def _use(engine: Engine) -> None:
    engine.raw_connection().close()


async def _make_tables(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        for statement in (
            "DROP TABLE IF EXISTS bench_sessions, bench_users",
            "CREATE TABLE bench_users (id integer PRIMARY KEY, logins integer)",
            "CREATE TABLE bench_sessions (id bigserial PRIMARY KEY, user_id integer)",
            f"INSERT INTO bench_users VALUES ({NOBODY}, 0)",
        ):
            await connection.execute(text(statement))


SELECT_ONE = text("SELECT 1")
SELECT_USER = text("SELECT logins FROM bench_users WHERE id = :id")
INSERT_SESSION = text("INSERT INTO bench_sessions (user_id) VALUES (:id)")
UPDATE_USER = text("UPDATE bench_users SET logins = logins + 1 WHERE id = :id")


async def _select(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execute(SELECT_ONE)


async def _login(engine: AsyncEngine) -> None:
    """A login's two visits to the pool, without the password hash that would hide the cost."""
    user = {"id": NOBODY}
    async with engine.connect() as connection:
        await connection.execute(SELECT_USER, user)
    async with engine.begin() as connection:
        await connection.execute(INSERT_SESSION, user)
        await connection.execute(UPDATE_USER, user)


def _checkout_row(name: str, seconds: Sequence[Sequence[float]]) -> Row:
    """Extra µs: the median of the differences within the turns."""
    extra = statistics.median(
        ours - bare for bare, ours in zip(seconds[0], seconds[1], strict=True)
    )
    return _row(name, seconds, extra * 1e6, "µs extra", CHECKOUT_LIMIT_US)


def _ratio_row(name: str, seconds: Sequence[Sequence[float]], limit: float | None) -> Row:
    """Ours to bare: the median of the ratios within the turns."""
    ratio = statistics.median(ours / bare for bare, ours in zip(*seconds[:2], strict=True))
    return _row(name, seconds, ratio, "× bare", limit)


def _row(
    name: str, seconds: Sequence[Sequence[float]], value: float, unit: str, limit: float | None
) -> Row:
    medians = [statistics.median(variant) * 1e6 for variant in seconds]
    opentelemetry = medians[2] if len(medians) > 2 else None
    return Row(name, medians[0], medians[1], opentelemetry, value, unit, limit)


def _show(rows: Sequence[Row]) -> None:
    table = Table("case", "bare µs", "ours µs", "OTel µs", "ours to bare", "limit", "")
    for row in rows:
        table.add_row(
            row.name,
            f"{row.bare_us:.1f}",
            f"{row.ours_us:.1f}",
            "not installed" if row.opentelemetry_us is None else f"{row.opentelemetry_us:.1f}",
            f"{row.value:.3f} {row.unit}",
            "" if row.limit is None else f"{row.limit:g}",
            {True: "holds", False: "FAILS", None: ""}[row.holds],
        )
    Console().print(table)


@contextmanager
def _database(dsn: str | None) -> Iterator[str]:
    if dsn is not None:
        yield dsn
        return
    from harness.incident import DatabaseConfig
    from harness.stack.postgres import EmbeddedPostgres

    with tempfile.TemporaryDirectory() as folder:
        config = DatabaseConfig(users=1, max_connections=50, reserved_connections=5)
        server = EmbeddedPostgres.start(config, log=Path(folder) / "postgres.log")
        try:
            yield server.dsn
        finally:
            server.stop()


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 when every limit holds, 1 when one does not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pool_instrumentation")
    parser.add_argument("--json", action="store_true", help="rows as JSON on standard output")
    parser.add_argument("--dsn", help="a PostgreSQL database; default: one started for this")
    options = parser.parse_args(arguments)
    with _database(options.dsn) as dsn:
        rows = measure(dsn)
    if options.json:
        json.dump([{**asdict(row), "holds": row.holds} for row in rows], sys.stdout, indent=2)
        print()
    else:
        _show(rows)
    return 1 if any(row.holds is False for row in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())

"""A pool on top of another."""

from __future__ import annotations

from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown

ID = "PD112"
TITLE = "One pool stands on top of another"

PRACTICE = "pool-over-pool"


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """An engine that takes its connections from psycopg_pool, and keeps them in its own pool.

    Source: https://www.psycopg.org/psycopg3/docs/advanced/pool.html (integration with SQLAlchemy)
    """
    for workload in chain.workloads:
        for use in workload.uses:
            if use.practice == PRACTICE:
                yield Finding(
                    ID,
                    "warning",
                    use.place,
                    f"the engine of {workload.name} keeps what it takes from another pool: the "
                    "inner one never gets its connections back, its limits and statistics say "
                    "nothing, and requests wait twice",
                    "Give the engine poolclass=NullPool, and the inner pool close_returns=True "
                    "(psycopg_pool 3.3 or newer); or use the engine's own pool alone.",
                )

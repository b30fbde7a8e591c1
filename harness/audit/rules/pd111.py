"""Connections that several processes believe to be theirs."""

from __future__ import annotations

from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown, needs
from harness.audit.parts import Pool, Workload

ID = "PD111"
TITLE = "A pool is made before the server forks"

PRACTICE = "fork-after-engine"
_FIX = (
    "Dispose the engine in each child (engine.dispose(close=False) in gunicorn's post_fork or "
    "Celery's worker_process_init), or make the pool after the fork."
)


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """A pool of import time with preload, or processes that are forked off beside it.

    Source: https://docs.sqlalchemy.org/en/20/core/pooling.html#pooling-multiprocessing
    """
    for workload in chain.workloads:
        for use in workload.uses:
            if use.practice == PRACTICE and not _all_disposed(workload):
                yield Finding(
                    ID,
                    "warning",
                    use.place,
                    f"{workload.name} forks a process here, and the pool was made before: both "
                    "use the same connections, and read each other's answers",
                    _FIX,
                )
        for pool in workload.pools:
            if workload.preload.known is not True or not _crosses(pool):
                continue
            if pool.made_at_import.known is True:
                yield _preloaded(workload, pool)
            elif pool.made_at_import.place is not None:
                what = f"whether the pool of {workload.name} connects before the fork"
                yield needs(ID, what, pool.made_at_import, pool.place)


def _crosses(pool: Pool) -> bool:
    """Whether it may exist before the fork, and is not made anew after it."""
    if pool.implementation in ("none", "django") or pool.made_at_import.known is False:
        return False
    return pool.disposed_after_fork.known is not True


def _all_disposed(workload: Workload) -> bool:
    pools = workload.pools
    return bool(pools) and all(pool.disposed_after_fork.known is True for pool in pools)


def _preloaded(workload: Workload, pool: Pool) -> Finding:
    preload = workload.preload.place or workload.place
    if pool.implementation == "psycopg-pool":
        return Finding(
            ID,
            "error",
            pool.place,
            f"{workload.name} is imported before its workers are forked ({preload}), and the "
            "pool opens its connections at once: its threads do not live on in the workers, who "
            "share its connections and wait for others in vain",
            "Make the pool with open=False, and open it in each worker (gunicorn's post_fork).",
        )
    return Finding(
        ID,
        "warning",
        pool.place,
        f"{workload.name} is imported before its workers are forked ({preload}), and the pool is "
        "made at import: a connection that is used before the fork is used by all workers at "
        "once, who read each other's answers",
        _FIX,
    )

"""An asynchronous pool that is opened where it is made."""

from __future__ import annotations

from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown

ID = "PD118"
TITLE = "An asynchronous pool is opened in its constructor"

PRACTICE = "opened-in-constructor"


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """``AsyncConnectionPool(…)`` without ``open=False``, outside of an ``async with``.

    Source: https://www.psycopg.org/psycopg3/docs/news_pool.html (3.2.0, 3.2.2)
    """
    for workload in chain.workloads:
        for use in workload.uses:
            if use.practice == PRACTICE:
                yield Finding(
                    ID,
                    "warning",
                    use.place,
                    f"the pool of {workload.name} is opened in its constructor: without a running "
                    "event loop that fails, and with one its failures are seen by nobody; a later "
                    "psycopg_pool makes it an error",
                    "Make it with open=False, and await pool.open() when the application starts "
                    "(its lifespan); or use it in an async with.",
                )

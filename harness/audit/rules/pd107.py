"""A connection that is held after its request has been worked on."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.version import InvalidVersion, Version

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown

ID = "PD107"
TITLE = "A request keeps its connection while it streams, or works after its answer"

PRACTICE = "session-over-teardown"
ENDED_EARLY = (Version("0.106"), Version("0.118"))
"""From the first on, and before the second, FastAPI ended dependencies before the answer."""


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """A session that a dependency gives, and a stream or background tasks that outlast the work.

    Source: https://fastapi.tiangolo.com/advanced/advanced-dependencies/
    """
    if _ends_early(chain):
        return
    for workload in chain.workloads:
        for use in workload.uses:
            if use.practice != PRACTICE:
                continue
            yield Finding(
                ID,
                "warning",
                use.place,
                f"a request of {workload.name} keeps its connection until its answer is sent and "
                "everything after it is done: the pool is held by slow clients and by work that "
                "needs no connection",
                "Give the connection back first (commit or close the session, or "
                'Depends(…, scope="function")), and let the stream or the task take one of its '
                "own when it needs it.",
            )


def _ends_early(chain: Chain) -> bool:
    """Whether every FastAPI that is locked is one that ends dependencies before the answer."""
    locked = [each.version.known for each in chain.packages if each.name == "fastapi"]
    versions = [version for version in locked if version is not None]
    try:
        return bool(versions) and all(
            ENDED_EARLY[0] <= Version(version) < ENDED_EARLY[1] for version in versions
        )
    except InvalidVersion:
        return False

"""A statement that may run for ever."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown

ID = "PD132"
TITLE = "A statement may run for ever"


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """``statement_timeout = 0``, where somebody's pools are served."""
    for server in chain.servers:
        limit = server.statement_timeout_s
        if limit.known is None or math.isfinite(limit.known) or not chain.pools():
            continue
        yield Finding(
            ID,
            "note",
            limit.place or server.place,
            f"{server.name} lets a statement run for ever: behind a lock, or with a bad plan, each "
            "holds a connection for longer than anybody waits for its answer",
            "Set statement_timeout for the service's role (ALTER ROLE … SET) to what the gateway "
            "waits for, and lock_timeout below it.",
        )

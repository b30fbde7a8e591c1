"""A transaction that may stay open for ever."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown

ID = "PD131"
TITLE = "A session may stay idle in its transaction for ever"


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """``idle_in_transaction_session_timeout = 0``, where somebody's pools are served."""
    for server in chain.servers:
        limit = server.idle_in_transaction_timeout_s
        if limit.known is None or math.isfinite(limit.known) or not chain.pools():
            continue
        yield Finding(
            ID,
            "note",
            limit.place or server.place,
            f"{server.name} lets a session stay idle in its transaction for ever: one that is "
            "forgotten keeps its connection, its locks and its pool's place until a restart",
            "Set idle_in_transaction_session_timeout to a minute or less, for the service's role "
            "at least (ALTER ROLE … SET).",
        )

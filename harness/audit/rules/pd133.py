"""A server that ends idle sessions of a pooler."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown

ID = "PD133"
TITLE = "The server ends idle sessions that PgBouncer keeps"


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """idle_session_timeout ≤ server_idle_timeout: whose connection it is, the server ends it.

    Source:
    https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-IDLE-SESSION-TIMEOUT
    """
    for pooler in chain.poolers:
        server = chain.server_of(pooler)
        if server is None:
            continue
        ends, closes = server.idle_session_timeout_s, pooler.server_idle_timeout_s.known
        if ends.known is None or closes is None or math.isinf(ends.known) or closes < ends.known:
            continue
        kept = "for ever" if math.isinf(closes) else f"for {closes:g} s"
        yield Finding(
            ID,
            "note",
            ends.place or server.place,
            f"{server.name} ends a session that was idle for {ends} s, and {pooler.name} keeps its "
            f"idle connections {kept}: a query that is given one at that moment fails, and the "
            "next surge finds fewer connections than were kept for it",
            "Set idle_session_timeout to 0 for the roles that PgBouncer connects as, or "
            f"server_idle_timeout below {ends} s.",
        )

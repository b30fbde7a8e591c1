"""A server that ends idle sessions of a pooler."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown
from harness.audit.parts import Pooler
from harness.audit.rules.inputs import in_seconds

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
        ends, closes = chain.idle_session_timeout_of(pooler), _kept_s(pooler)
        if ends.known is None or closes is None or math.isinf(ends.known) or closes < ends.known:
            continue
        kept = "for ever" if math.isinf(closes) else f"for {closes:g} s"
        yield Finding(
            ID,
            "note",
            ends.place or server.place,
            f"{server.name} ends a session that was idle for {in_seconds(ends)}, and "
            f"{pooler.name} keeps its idle connections {kept}: a query that is given one at that "
            "moment fails, and the next surge finds fewer connections than were kept for it",
            "Set idle_session_timeout to 0 for the roles that PgBouncer connects as, or "
            f"server_idle_timeout below {ends.known:g} s.",
        )


def _kept_s(pooler: Pooler) -> float | None:
    """For how long a connection may be idle: it is closed at an age as well."""
    idle, age = pooler.server_idle_timeout_s.known, pooler.server_lifetime_s.known
    return idle if idle is None or age is None else min(idle, age)

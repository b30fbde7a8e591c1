"""A transaction that may stay open for ever."""

from __future__ import annotations

from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Edit, Finding, Unknown
from harness.audit.parts import Pool
from harness.audit.rules.timeouts import endless, is_finite, transaction_timeout_of
from harness.audit.values import Value

ID = "PD131"
TITLE = "A session may stay idle in its transaction for ever"
FORGOTTEN_S = 60.0
"""After which a session that runs is taken to be forgotten: no request takes so long."""


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """``idle_in_transaction_session_timeout = 0``, where somebody's pools are served.

    A pool's or a role's own timeout holds over the server's; PgBouncer's ends such a session too,
    and so does what ends every transaction.
    """

    def bounded(pool: Pool) -> bool:
        pooler = chain.pooler_of(pool)
        if pooler is not None and any(
            is_finite(each)
            for each in (pooler.idle_transaction_timeout_s, pooler.transaction_timeout_s)
        ):
            return True
        return is_finite(transaction_timeout_of(chain, pool))

    for server in chain.servers:
        limit = server.idle_in_transaction_timeout_s
        found = endless(
            chain, server, lambda pool: pool.idle_in_transaction_timeout_s, limit, bounded
        )
        if found is None:
            continue
        value, _ = found
        now_s = server.longest_idle_in_transaction_s.known or 0.0
        yield Finding(
            ID,
            "warning" if now_s >= FORGOTTEN_S else "note",
            value.place or server.place,
            f"{server.name} lets a session stay idle in its transaction for ever: one that is "
            "forgotten keeps its connection, its locks and its pool's place until a restart"
            + (f"; one of them has been so for {now_s:.0f} s now" if now_s >= FORGOTTEN_S else ""),
            "Set idle_in_transaction_session_timeout to a minute or less, for the service's role "
            "at least (ALTER ROLE … SET).",
            _bounded(value) if value is limit else None,
        )


def _bounded(limit: Value[float]) -> Edit | None:
    """A minute, where 0 stands in a file."""
    if limit.origin != "file" or limit.place is None:
        return None
    return Edit(limit.place, "0", "60s")

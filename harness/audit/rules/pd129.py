"""A PgBouncer that refuses everybody for a while after a restart of the server."""

from __future__ import annotations

from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown
from harness.audit.rules.timeouts import due_s

ID = "PD129"
TITLE = "After a restart of the server, PgBouncer tries again too late"


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """server_login_retry above what a request may take.

    Source: https://www.pgbouncer.org/config.html#server_login_retry
    """
    for pooler in chain.poolers:
        retry = pooler.server_login_retry_s
        patience = due_s(chain, pooler)
        if retry.known is None or patience is None or retry.known <= patience:
            continue
        yield Finding(
            ID,
            "note",
            retry.place or pooler.place,
            f"once {pooler.name} was refused by the server, it refuses its clients for "
            f"{retry.known:g} s before it tries again, and a request is waited for {patience:g} "
            f"s: a restart of a second is an outage of {retry.known:g}",
            "PAUSE in PgBouncer's console before a planned restart and RESUME after it, or set "
            "server_login_retry to a second or two.",
        )

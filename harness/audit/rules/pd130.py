"""Prepared statements through a PgBouncer that does not keep track of them."""

from __future__ import annotations

from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown, needs

ID = "PD130"
TITLE = "The driver prepares statements, and PgBouncer does not keep track of them"


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """Transaction or statement mode with ``max_prepared_statements = 0``.

    Source: https://www.pgbouncer.org/config.html#max_prepared_statements
    """
    for workload, pool in chain.pools():
        pooler = chain.pooler_of(pool)
        if pooler is None or pool.prepared_statements.known is not True:
            continue
        mode, kept = pooler.pool_mode.known, pooler.max_prepared_statements
        if mode not in ("transaction", "statement"):
            continue
        if kept.known is None:
            what = f"max_prepared_statements of {pooler.name}"
            yield needs(ID, what, kept, pooler.place)
        elif kept.known == 0:
            yield Finding(
                ID,
                "error",
                kept.place or pooler.place,
                f"the driver of {workload.name} prepares statements, and {pooler.name}, in {mode} "
                "mode, gives each transaction another connection without them: queries fail "
                "(prepared statement does not exist, or already exists)",
                "Set max_prepared_statements (200, say; PgBouncer 1.21 or newer), or turn "
                "prepared statements off in the driver.",
            )

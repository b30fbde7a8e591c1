"""A PgBouncer that has fewer file descriptors than connections."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown, needs
from harness.audit.rules.counts import limit_of, size_of, users_of
from harness.audit.rules.inputs import counted

ID = "PD126"
TITLE = "PgBouncer may have more connections than file descriptors"
USUAL = 1024
"""The soft limit of a process where nobody sets one (systemd's DefaultLimitNOFILE)."""


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """max_client_conn + pool_size × databases × users, against LimitNOFILE.

    Source: https://www.pgbouncer.org/config.html#max_client_conn
    """
    for pooler in chain.poolers:
        clients, files = pooler.max_client_conn, pooler.open_files
        if clients.known is None:
            continue
        users = max(users_of(chain, pooler), pooler.users.known or 0)
        behind = sum(
            min(
                size_of(pooler, each) * (1 if each.user.is_known else users), limit_of(pooler, each)
            )
            for each in pooler.databases
        )
        needed = clients.known + (
            behind or min(size_of(pooler, None) * users, limit_of(pooler, None))
        )
        if math.isinf(needed):
            continue
        if files.known is None:
            if needed > USUAL and clients.origin == "file":
                yield needs(
                    ID,
                    f"the file descriptors of {pooler.name} (LimitNOFILE, ulimits)",
                    files,
                    pooler.place,
                )
        elif needed > files.known:
            yield Finding(
                ID,
                "error",
                files.place or clients.place or pooler.place,
                f"{pooler.name} may have {clients.known:g} clients and "
                f"{counted(needed - clients.known, 'connection')} behind them, and has {files} "
                "file descriptors: at the peak it can neither accept nor connect",
                f"Set LimitNOFILE (or the container's ulimit nofile) above {needed:g}, with room "
                "for its log and its sockets.",
            )

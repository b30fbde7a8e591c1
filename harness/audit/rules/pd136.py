"""Clients that leave before the gateway does."""

from __future__ import annotations

from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown

ID = "PD136"
TITLE = "Clients leave before the pool refuses them"


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """Client timeout ≤ pool timeout: each outage is work for people who have left.

    A client that leaves before the gateway alone is common and costs little: its request is ended.
    """
    for client in chain.clients:
        patience = client.timeout_s
        for workload, pool in chain.pools():
            wait = pool.timeout_s
            if pool.implementation == "none" or patience.known is None or wait.known is None:
                continue
            if patience.known <= wait.known:
                yield Finding(
                    ID,
                    "warning",
                    patience.place or client.place,
                    f"clients give up after {patience} s, and a request of {workload.name} may "
                    f"wait {wait} s for a connection: those who have left are served before those "
                    "who have come",
                    f"Let the pool refuse well before {patience} s.",
                )

"""A pool that waits for longer than the gateway does."""

from __future__ import annotations

from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown, needs

ID = "PD103"
TITLE = "A request may wait for a connection for longer than the gateway waits for the request"


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """Pool timeout ≥ gateway timeout: users get a 504, and nobody sees a pool timeout."""
    for gateway in chain.gateways:
        for workload, pool in chain.pools():
            if pool.implementation == "none":
                continue
            wait, patience = pool.timeout_s, gateway.timeout_s
            if not wait.is_known or not patience.is_known:
                missing = wait if not wait.is_known else patience
                yield needs(
                    ID, f"how long {workload.name} and {gateway.name} wait", missing, pool.place
                )
            elif (wait.known or 0.0) >= (patience.known or 0.0):
                yield Finding(
                    ID,
                    "error",
                    wait.place or pool.place,
                    f"a request of {workload.name} may wait {wait} s for a connection, and "
                    f"{gateway.name} gives up after {patience} s: users see a 504, the pool "
                    "counts no timeout, and the work goes on for nobody",
                    f"Set the pool's timeout well below {patience} s, so that a request is "
                    "refused while somebody still listens.",
                )

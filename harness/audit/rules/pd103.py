"""A pool that waits for longer than the gateway, or the worker, does."""

from __future__ import annotations

from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown, needs
from harness.audit.parts import Gateway, Pool, Workload
from harness.audit.rules.edits import shorter_wait
from harness.audit.rules.inputs import in_seconds, may_wait, outlasts, seconds

ID = "PD103"
TITLE = "A request may wait for a connection for longer than the gateway waits for the request"


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """Pool timeout ≥ gateway timeout, or ≥ the time after which a worker is killed."""
    for gateway in chain.gateways:
        for workload, pool in chain.served_by(gateway):
            if may_wait(workload, pool):
                yield from _before_the_gateway(gateway, workload, pool)
    for workload, pool in chain.pools():
        if may_wait(workload, pool):
            yield from _before_the_worker(workload, pool)


def _before_the_gateway(
    gateway: Gateway, workload: Workload, pool: Pool
) -> Iterator[Finding | Unknown]:
    wait, patience = pool.timeout_s, gateway.timeout_s
    if not wait.is_known or not patience.is_known:
        missing = wait if not wait.is_known else patience
        yield needs(ID, f"how long {workload.name} and {gateway.name} wait", missing, pool.place)
    elif outlasts(wait, patience):
        yield Finding(
            ID,
            "error",
            wait.place or pool.place,
            f"a request of {workload.name} may wait {in_seconds(wait)} for a connection, and "
            f"{gateway.name} gives up after {in_seconds(patience)}: users see a 504, the pool "
            "counts no timeout, and the work goes on for nobody",
            f"Set the pool's timeout well below {seconds(patience.known or 0.0)}, so that a "
            "request is refused while somebody still listens.",
            # Refused sooner: no capacity is lost, and nobody is there for the rest.
            shorter_wait(wait, patience.known or 0.0),
        )


def _before_the_worker(workload: Workload, pool: Pool) -> Iterator[Finding]:
    wait, patience = pool.timeout_s, workload.timeout_s
    if not outlasts(wait, patience):
        return
    yield Finding(
        ID,
        "error",
        wait.place or pool.place,
        f"a request of {workload.name} may wait {in_seconds(wait)} for a connection, and its "
        f"worker is killed after {in_seconds(patience)}: all that it works on dies with it, the "
        "pool counts no timeout, and each new worker opens its connections anew",
        f"Set the pool's timeout well below {seconds(patience.known or 0.0)}.",
        shorter_wait(wait, patience.known or 0.0),
    )

"""A pool that waits for longer than a request may take."""

from __future__ import annotations

from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown, needs
from harness.audit.parts import Pool, Workload
from harness.audit.rules.edits import shorter_wait
from harness.audit.rules.inputs import in_seconds, may_wait, outlasts, seconds, serving

ID = "PD116"
TITLE = "A request may wait for a connection for longer than it may take in all"


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """Pool timeout ≥ the objective for a request's duration.

    Where a gateway gives up before the pool does as well, PD103 says the graver thing of it. A job
    queue's worker answers nobody.
    """
    waiting = [
        (workload, pool)
        for workload, pool in serving(chain)
        if pool.timeout_s.is_known
        and may_wait(workload, pool)
        and not _is_another_rules(chain, workload, pool)
    ]
    objective = chain.slo_s
    if not waiting:
        return
    if objective.known is None:
        yield needs(ID, "the objective (--slo)", objective, waiting[0][1].place)
        return
    for workload, pool in waiting:
        wait = pool.timeout_s
        if not outlasts(wait, objective):
            continue
        yield Finding(
            ID,
            "warning",
            wait.place or pool.place,
            f"a request of {workload.name} may wait {in_seconds(wait)} for a connection, and must "
            f"be answered within {in_seconds(objective)}: whoever waits so long is served too "
            "late, and is in the way of those who could be served in time",
            f"Set the pool's timeout below {seconds(objective.known)}, less the time for which a "
            "request holds its connection.",
            shorter_wait(wait, objective.known),
        )


def _is_another_rules(chain: Chain, workload: Workload, pool: Pool) -> bool:
    """PD103's, where a gateway gives up before; PD112's, where the wait is another pool's."""
    given_up = any(
        outlasts(pool.timeout_s, gateway.timeout_s) for gateway in chain.gateways_of(pool)
    )
    return given_up or any(use.practice == "pool-over-pool" for use in workload.uses)

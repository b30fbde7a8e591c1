"""Retries that make a surge of a surge."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown

ID = "PD137"
TITLE = "Clients try again without a budget, and the pools cannot carry what comes of it"


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """Attempts × peak > pool capacity / hold time, where the peak itself would be carried."""
    carried = carried_per_s(chain)
    peak = chain.peak_per_s.known
    for client in chain.clients:
        attempts, budget = client.attempts.known, client.retry_budget.known
        if carried is None or peak is None or attempts is None or budget is None:
            continue
        if attempts > 1 and math.isinf(budget) and peak <= carried < attempts * peak:
            yield Finding(
                ID,
                "warning",
                client.attempts.place or client.place,
                f"clients try up to {attempts} times, so that {peak:g} logins a second become "
                f"{attempts * peak:g} attempts as soon as they fail, and the pools carry "
                f"{carried:g}: an outage would outlast its cause",
                "Give clients a retry budget (a tenth of their requests, say), with jitter.",
            )


def carried_per_s(chain: Chain) -> float | None:
    """Requests a second that all pools together carry: capacity / hold time (Little's law)."""
    total = 0.0
    for workload, pool in chain.pools():
        hold_s = workload.hold_s.known
        count, capacity = workload.instances.known, pool.capacity.known
        if hold_s is None or count is None or capacity is None:
            return None
        total += math.inf if hold_s == 0 else count * capacity / hold_s
    return total if chain.pools() else None

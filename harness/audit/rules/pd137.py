"""Retries that make a surge of a surge."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown, needs
from harness.audit.rules.counts import lack_of
from harness.audit.rules.inputs import carried_per_s, serving
from harness.audit.values import Place, Value

ID = "PD137"
TITLE = "Requests are tried again without a budget, and the pools cannot carry what comes of it"


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """Attempts × peak > pool capacity / hold time, where the peak itself would be carried."""
    for client in chain.clients:
        yield from _unbounded(
            chain, "clients try", client.attempts, client.retry_budget, client.place
        )
    for gateway in chain.gateways:
        if len(chain.served_by(gateway)) >= len(serving(chain)):
            who = f"{gateway.name} tries a request"
            yield from _unbounded(chain, who, gateway.attempts, gateway.retry_budget, gateway.place)


def _unbounded(
    chain: Chain, who: str, tries: Value[int], budget: Value[float], place: Place
) -> Iterator[Finding | Unknown]:
    carried, peak = carried_per_s(chain), chain.peak_per_s.known
    attempts, ratio = tries.known, budget.known
    if attempts is None or attempts <= 1 or (ratio is None and budget.place is None):
        return
    if ratio is not None and math.isfinite(ratio):
        return
    if peak is None:
        yield needs(ID, "the peak", chain.peak_per_s, place)
    elif carried is None:
        yield from _lacking(chain)
    elif not peak <= carried < attempts * peak:
        return
    elif ratio is None:
        yield needs(ID, "whether retries have a budget", budget, place)
    else:
        yield Finding(
            ID,
            "warning",
            tries.place or place,
            f"{who} up to {attempts} times, so that {peak:g} logins a second become "
            f"{attempts * peak:g} attempts as soon as they fail, and the pools carry "
            f"{carried:.4g}: an outage would outlast its cause",
            "Give retries a budget (a tenth of the requests, say), with jitter.",
        )


def _lacking(chain: Chain) -> Iterator[Unknown]:
    """The first thing that is not known of what the pools carry."""
    for workload, pool in serving(chain):
        if (lack := lack_of(workload, pool)) is not None:
            yield lack.needed_by(ID)
            return
        if not workload.hold_s.is_known:
            what = f"how long a request of {workload.name} holds a connection (--hold)"
            yield needs(ID, what, workload.hold_s, pool.place)
            return

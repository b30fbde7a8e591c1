"""Retries that make a surge of a surge."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown
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
) -> Iterator[Finding]:
    carried, peak = carried_per_s(chain), chain.peak_per_s.known
    attempts, ratio = tries.known, budget.known
    if carried is None or peak is None or attempts is None or ratio is None:
        return
    if attempts > 1 and math.isinf(ratio) and peak <= carried < attempts * peak:
        yield Finding(
            ID,
            "warning",
            tries.place or place,
            f"{who} up to {attempts} times, so that {peak:g} logins a second become "
            f"{attempts * peak:g} attempts as soon as they fail, and the pools carry "
            f"{carried:.4g}: an outage would outlast its cause",
            "Give retries a budget (a tenth of the requests, say), with jitter.",
        )

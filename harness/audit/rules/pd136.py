"""Timeouts that do not shrink on their way inward."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import LOOPBACK, Chain
from harness.audit.finding import Finding, Unknown
from harness.audit.parts import Gateway, Pool
from harness.audit.rules.inputs import in_seconds, may_wait, outlasts, seconds, serving
from harness.audit.rules.timeouts import is_finite, transaction_timeout_of
from harness.audit.values import Value

ID = "PD136"
TITLE = "Timeouts do not shrink on their way inward"


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """Client > gateway > gateway behind it > worker and statement; client > pool.

    The pool's against the gateway's is PD103. A client that leaves before the gateway alone is
    common and costs little: its request is ended.
    """
    yield from _clients(chain)
    for gateway in chain.gateways:
        yield from _gateways_behind(chain, gateway)
        yield from _workers(chain, gateway)
    yield from _statements(chain)


def _clients(chain: Chain) -> Iterator[Finding]:
    """Client timeout ≤ pool timeout: each outage is work for people who have left."""
    for client in chain.clients:
        patience = client.timeout_s
        for workload, pool in serving(chain):
            wait = pool.timeout_s
            if may_wait(workload, pool) and outlasts(wait, patience):
                yield Finding(
                    ID,
                    "warning",
                    patience.place or client.place,
                    f"clients give up after {in_seconds(patience)}, and a request of "
                    f"{workload.name} may wait {in_seconds(wait)} for a connection: those who have "
                    "left are served before those who have come",
                    f"Let the pool refuse well before {seconds(patience.known or 0.0)}.",
                )


def _gateways_behind(chain: Chain, outer: Gateway) -> Iterator[Finding]:
    """One gateway that sends requests to another, which waits for longer."""
    for inner in chain.gateways:
        if inner == outer or not _is_behind(chain, inner, outer):
            continue
        if inner.timeout_s.origin == outer.timeout_s.origin == "default":
            continue  # nobody has chosen either
        if outlasts(inner.timeout_s, outer.timeout_s):
            yield Finding(
                ID,
                "warning",
                outer.timeout_s.place or outer.place,
                f"{outer.name} gives up after {in_seconds(outer.timeout_s)}, and {inner.name} "
                f"behind it waits for {in_seconds(inner.timeout_s)}: the inner one keeps requests "
                "that are answered already, and counts none of them as failed",
                f"Let {inner.name} give up before {seconds(outer.timeout_s.known or 0.0)}.",
            )


def _is_behind(chain: Chain, inner: Gateway, outer: Gateway) -> bool:
    """Whether requests of the one go to the other: by its name, or as the only one's sidecar."""
    if inner.name in outer.upstreams:
        return True
    here, there = set(inner.upstreams), set(outer.upstreams)
    is_sidecar = bool(here) and here <= LOOPBACK and not there <= LOOPBACK
    if not is_sidecar:
        return False
    serving = [each for each in chain.workloads if each.serves.known is not False]
    return len(serving) == 1 and bool(chain.served_by(outer))


def _workers(chain: Chain, gateway: Gateway) -> Iterator[Finding]:
    """A worker that may go on with a request for longer than the gateway waits."""
    workloads = dict.fromkeys(workload.name for workload, _ in chain.served_by(gateway))
    for workload in chain.workloads:
        limit = workload.timeout_s
        if workload.name not in workloads or limit.origin != "file" or limit.known is None:
            continue
        if math.isfinite(limit.known) and outlasts(limit, gateway.timeout_s):
            yield Finding(
                ID,
                "warning",
                limit.place or workload.place,
                f"a worker of {workload.name} may work on a request for {in_seconds(limit)}, and "
                f"{gateway.name} gives up after {in_seconds(gateway.timeout_s)}: workers that are "
                "stuck are kept for requests that nobody waits for",
                f"Let a worker give up a request before {seconds(gateway.timeout_s.known or 0.0)}.",
            )


def _statements(chain: Chain) -> Iterator[Finding]:
    """A statement that may run for longer than its request is waited for."""
    said: set[object] = set()
    for gateway in chain.gateways:
        for workload, pool in chain.served_by(gateway):
            limit = _statement_timeout(chain, pool)
            if limit.known is None or not math.isfinite(limit.known):
                continue  # none at all is PD132
            if (limit.place, gateway.timeout_s) in said:
                continue
            if outlasts(limit, gateway.timeout_s):
                said.add((limit.place, gateway.timeout_s))
                yield Finding(
                    ID,
                    "warning",
                    limit.place or pool.place,
                    f"a statement of {workload.name} may run for {in_seconds(limit)}, and "
                    f"{gateway.name} gives up after {in_seconds(gateway.timeout_s)}: it outlives "
                    "its request, and keeps a connection from those that are waited for",
                    f"Set statement_timeout below {seconds(gateway.timeout_s.known or 0.0)} "
                    "for the service's role.",
                )


def _statement_timeout(chain: Chain, pool: Pool) -> Value[float]:
    """The pool's own, else its server's; that of a transaction where it comes first."""
    server = chain.server_of(pool)
    limit = pool.statement_timeout_s
    if not limit.is_known and server is not None:
        limit = server.statement_timeout_s
    whole = transaction_timeout_of(chain, pool)
    return whole if is_finite(whole) and (whole.known or 0.0) < (limit.known or 0.0) else limit

"""Queues that serve those who have left: who waits for longer than those before it."""

from __future__ import annotations

from collections.abc import Mapping

from harness.audit.parts import Client
from harness.audit.proofs.subject import (
    Proof,
    Setting,
    Subject,
    derived,
    fleet,
    gateway_settings,
    needed,
    one_at_least,
    overload,
    pool_settings,
    processes,
    room,
    seconds,
    setting,
    work,
)
from harness.audit.rules.inputs import outlasts, used_at_most
from harness.audit.values import Value
from harness.errors import UsageError

HOLD_S = 0.2
ATTEMPTS = 3
PATIENCE_S = 1.0
"""What the incident of retries has, where no file says it."""


def beyond_gateway(subject: Subject) -> Proof:
    """A pool that waits for longer than its gateway: the surge lasts until both have given up."""
    gateway = subject.gateway
    if gateway is None:
        raise UsageError("PD103: no gateway's timeout is known")
    patience_s = gateway.timeout_s.known or 0.0
    if not outlasts(subject.pool.timeout_s, gateway.timeout_s):
        raise UsageError(
            "PD103: the pool gives up before the gateway does, and no incident plays a worker's end"
        )
    rate, ratio = overload(subject, of=1.8, work_s=0.4)
    audited = (
        *fleet(subject),
        *pool_settings(subject.pool),
        setting("gateway.timeout", seconds(patience_s), gateway.timeout_s),
        derived("load.client.timeout", seconds(2 * patience_s), "beyond the gateway's"),
        derived("load.client.patience", seconds(2 * patience_s), "beyond the gateway's"),
        work(subject, 0.4),
        rate,
        room(subject),
    )
    remedy = {"service.pool.timeout": seconds(patience_s / 2)}
    # The first 504 comes T·ρ/(ρ−1) after onset; as much again shows what lasts.
    surge_s = 2 * patience_s * ratio / (ratio - 1) + 8
    return Proof("PD103", "pool-wait-beyond-gateway", audited, remedy, surge_s, apart=True)


def beyond_objective(subject: Subject) -> Proof:
    """A pool that waits for longer than a request may take: who is served late has left."""
    objective = subject.chain.slo_s
    patience_s = needed(objective, "the objective (--slo)")
    if not outlasts(subject.pool.timeout_s, objective):
        raise UsageError("PD116: the pool refuses before the objective is missed")
    return _late("PD116", subject, setting(TIMEOUT, seconds(patience_s), objective), patience_s)


def beyond_clients(subject: Subject) -> Proof:
    """A pool that waits for longer than clients do. Of the rule's pairs it is the one played."""
    client = next(
        (each for each in _clients(subject) if outlasts(subject.pool.timeout_s, each.timeout_s)),
        None,
    )
    if client is None:
        raise UsageError(
            "PD136: no incident plays this pair of timeouts",
            remedy="Clients and the pool are played, where a file has the clients' timeout.",
        )
    patience_s = client.timeout_s.known or 0.0
    played = setting(TIMEOUT, seconds(patience_s), client.timeout_s)
    return _late("PD136", subject, played, patience_s)


TIMEOUT = "load.client.timeout"


def _late(rule: str, subject: Subject, patience: Setting, patience_s: float) -> Proof:
    """An overload that lasts; a pool that refuses at once would serve a part of it in time."""
    rate, ratio = overload(subject, of=1.8, work_s=HOLD_S)
    audited = (
        *fleet(subject),
        *pool_settings(subject.pool),
        *gateway_settings(subject),
        patience,
        *_attempts(subject, patience_s),
        work(subject, HOLD_S),
        rate,
        derived("load.phases.after.rate", rate.value, "it lasts"),
        derived("load.phases.baseline.rate", _calm(subject, 0.4), "below capacity"),
        room(subject),
    )
    remedy = {"service.pool.timeout": seconds(0.3 * patience_s)}
    # The first is served too late T·ρ/(ρ−1) after onset; as much again shows what lasts.
    surge_s = 2 * patience_s * ratio / (ratio - 1) + 8
    return Proof(rule, STORM, audited, remedy, surge_s, apart=True)


STORM = "retry-storm"
OUTLASTING_S = 60.0
"""What is to be seen is how long the outage goes on when its cause is over, after 5 s."""


def without_budget(subject: Subject) -> Proof:
    """Clients that try again without a budget, under a load that the pools carry.

    What makes the first attempts fail is a surge of five seconds, as the incident has it.
    """
    client = next((each for each in _clients(subject) if _tries(each) > 1), None)
    if client is None or subject.finding.place not in (client.attempts.place, client.place):
        raise UsageError(
            "PD137: no incident plays a gateway that tries again",
            remedy="Clients are played, where a file has their attempts.",
        )
    peak = needed(subject.chain.peak_per_s, "the peak (--peak)")
    needed(subject.workload.hold_s, "how long a request holds a connection (--hold)")
    processes(subject)
    carried = _carried(subject)
    if not peak <= carried < _tries(client) * peak:
        raise UsageError("PD137: the pools carry every attempt, or not even the peak")
    patience_s = client.timeout_s.known or PATIENCE_S
    asked = f"{peak:g}/s"
    audited = (
        *fleet(subject),
        *pool_settings(subject.pool),
        *gateway_settings(subject),
        setting(TIMEOUT, seconds(patience_s), client.timeout_s),
        *_attempts(subject, patience_s),
        work(subject, HOLD_S),
        setting("load.phases.baseline.rate", asked, subject.chain.peak_per_s),
        derived("load.phases.surge.rate", f"{2 * carried:g}/s", "for 5 s, twice what they carry"),
        setting("load.phases.after.rate", asked, subject.chain.peak_per_s),
        room(subject),
    )
    remedy: Mapping[str, str] = {"load.client.retry_budget": "0.1"}
    return Proof("PD137", STORM, audited, remedy, OUTLASTING_S, apart=True)


def _clients(subject: Subject) -> tuple[Client, ...]:
    return subject.chain.clients


def _tries(client: Client) -> int:
    return client.attempts.known or 1


def _attempts(subject: Subject, patience_s: float) -> tuple[Setting, ...]:
    """As many as a client makes, and a user's patience for all of them."""
    tries: Value[int] = next(
        (each.attempts for each in _clients(subject) if each.attempts.is_known),
        Value.unknown("no file says"),
    )
    count = tries.known or ATTEMPTS
    longest_s = count * (patience_s + 0.1) + 1
    return (
        setting("load.client.attempts", str(count), tries),
        derived("load.client.patience", seconds(longest_s), "for all attempts"),
    )


def _carried(subject: Subject) -> float:
    used = used_at_most(subject.workload, subject.pool)
    if used is None:
        raise UsageError("this cannot be played without the pool's capacity")
    return one_at_least(subject) * used / (subject.workload.hold_s.known or HOLD_S)


def _calm(subject: Subject, ratio: float) -> str:
    return f"{min(13.0, ratio * _carried(subject)):g}/s"

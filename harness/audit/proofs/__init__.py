"""How a finding can be shown to do harm: an incident with exactly the audited values.

For each rule that has one: which incident plays it, which of its settings the audited values are,
and what removes the defect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields

from harness.audit.chain import Chain
from harness.audit.finding import Finding
from harness.audit.parts import Pool, Pooler, Workload
from harness.audit.proofs import carrying, poolers, stale, waiting
from harness.audit.proofs.staging import played_here, stage
from harness.audit.proofs.subject import Proof, Setting, Subject
from harness.audit.values import Place, Value
from harness.errors import UsageError

__all__ = [
    "Proof",
    "Setting",
    "can_be_played",
    "chain_of",
    "playable",
    "proof",
    "provable",
    "stage",
]

_PROOFS: Mapping[str, Callable[[Subject], Proof]] = {
    "PD101": carrying.budget,
    "PD102": carrying.unlimited,
    "PD103": waiting.beyond_gateway,
    "PD105": carrying.hidden_queue,
    "PD106": carrying.pool_lock,
    "PD107": carrying.teardown,
    "PD108": stale.handed_out,
    "PD109": stale.kept_too_long,
    "PD116": waiting.beyond_objective,
    "PD117": stale.handed_out,
    "PD120": poolers.behind_pooler,
    "PD122": poolers.fewer_clients,
    "PD136": waiting.beyond_clients,
    "PD137": waiting.without_budget,
    "PD142": carrying.undersized,
}


def proof(finding: Finding, chain: Chain) -> Proof:
    """How ``finding`` is shown. Raises `UsageError` where no incident plays it."""
    if finding.id not in _PROOFS:
        raise UsageError(
            f"no incident shows what {finding.id} says",
            remedy=f"There are for: {', '.join(sorted(_PROOFS))}.",
        )
    if not chain.pools():
        raise UsageError(f"{finding.id} is about no pool that was read: nothing can be played")
    workload, pool = _about(finding.place, chain)
    return _PROOFS[finding.id](Subject(finding, chain, workload, pool))


def provable() -> tuple[str, ...]:
    """The rules that can be shown."""
    return tuple(sorted(_PROOFS))


def playable(finding: Finding, chains: Sequence[Chain]) -> Proof:
    """How ``finding`` is shown here. Raises `UsageError` where none of the incidents can."""
    if not chains:
        raise UsageError(f"{finding.id} is about no chain that was read: nothing can be played")
    found = played_here(proof(finding, chain_of(finding, chains)))
    for remedy in ({}, found.remedy):
        stage(found, remedy)
    return found


def can_be_played(finding: Finding, chains: Sequence[Chain]) -> bool:
    """Whether an incident has what was found, and can be played with these values here."""
    try:
        playable(finding, chains)
    except UsageError:
        return False
    return True


def chain_of(finding: Finding, chains: Sequence[Chain]) -> Chain:
    """The chain that the finding is about: a file that has a whole one, or all others."""
    for chain in chains:
        if finding.place.file in {workload.place.file for workload in chain.workloads}:
            return chain
    return chains[-1]


def _about(place: Place, chain: Chain) -> tuple[Workload, Pool]:
    """The pool that has a value at ``place``, or whose PgBouncer has; else the first."""
    for workload, pool in chain.pools():
        if _has(pool, place):
            return workload, pool
    behind = [
        each for pooler in chain.poolers if _has(pooler, place) for each in chain.behind(pooler)
    ]
    return behind[0] if behind else chain.pools()[0]


def _has(part: Pool | Pooler, place: Place) -> bool:
    values = [getattr(part, each.name) for each in fields(part)]
    places = {each.place for each in values if isinstance(each, Value)}
    return place in places or place == part.place

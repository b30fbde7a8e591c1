"""The incident that a proof plays: with the audited values, cut to its surge.

What cannot be played here is told from it, before anything is started.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import replace

from harness.audit.proofs.subject import Proof, Setting
from harness.errors import IncidentError, UsageError
from harness.incident import Incident, load_incident
from harness.incident.expectations import Expectations, ExpectedShare

SURGE_S = 30.0
"""For how long the surge lasts where the values do not say how long it must."""

LONGEST_S = 300.0
"""Beyond it a surge is no longer tried: the pool's or the gateway's patience is minutes."""

MOST_PER_S = 100.0
"""Logins a second for each processor of this machine, which has to play the service, the database
and those who log in."""

MOST_PROCESSES = 8
"""Of the service, for each processor, of a fleet that can be played in part."""

FLEET = "service.replicas"


def played_here(proof: Proof, processors: int | None = None) -> Proof:
    """As ``proof``, with no more of the fleet than this machine plays, and as much of the load.

    Where processes have the finding each on its own, fewer of them with the same part of the load
    show the same: a login is as likely to find its pool full. Anything else is played whole.
    """
    if not proof.apart or FLEET not in proof.overrides():
        return proof
    processors = processors or os.cpu_count() or 1
    count = int(proof.overrides()[FLEET])
    fastest = max((rate for each in proof.audited if (rate := _rate(each)) is not None), default=0)
    share = min(count, MOST_PROCESSES * processors)
    if fastest > 0:
        share = min(share, math.floor(MOST_PER_S * processors * count / fastest))
    if not 0 < share < count:
        return proof
    said = f"{share} of {count} processes, and of the load as much: what this machine plays"
    return replace(
        proof, audited=tuple(_shared(each, share, count, said) for each in proof.audited)
    )


def _rate(setting: Setting) -> float | None:
    """Logins a second, of the load's phases."""
    if not (setting.path.startswith("load.phases.") and setting.path.endswith(".rate")):
        return None
    return float(setting.value.removesuffix("/s"))


def _shared(setting: Setting, share: int, count: int, said: str) -> Setting:
    if setting.path == FLEET:
        return replace(setting, value=str(share), why=said)
    rate = _rate(setting)
    if rate is None:
        return setting
    why = f"{share} of {count} parts of {rate:g}/s"
    return replace(
        setting,
        value=f"{rate * share / count:g}/s",
        why=f"{setting.why}; {why}" if setting.why else why,
    )


def stage(proof: Proof, remedy: Mapping[str, str]) -> Incident:
    """The incident with the audited values, cut to its surge, in which nobody does anything.

    Raises `UsageError` for values beyond what can be played.
    """
    length_s = proof.surge_s or SURGE_S
    if length_s > LONGEST_S:
        raise UsageError(
            f"{proof.rule} would take a surge of {length_s:.0f} s to show, with these timeouts",
            remedy=f"At most {LONGEST_S:.0f} s are played; give a higher --peak.",
        )
    overrides = {**proof.overrides(), **remedy}
    try:
        incident = load_incident(proof.incident, overrides)
    except IncidentError as error:
        raise UsageError(
            f"the audited values are beyond what {proof.incident} can be played with here: "
            f"{error.message}",
            remedy="Audit one replica's configuration, or a smaller --peak.",
        ) from None
    _require_playable(incident)
    begin_s = incident.outage.begin_s
    end_s = begin_s + length_s
    phases = tuple(
        phase.model_copy(update={"settle_s": length_s, "plateau_s": 0.0})
        if phase.at_s >= begin_s
        else phase
        for phase in incident.load.phases
        if phase.at_s < end_s
    )
    timeline = tuple(e for e in incident.timeline if not e.response and e.at_s < end_s)
    return incident.model_copy(
        update={
            "title": f"{incident.title} [{proof.rule}]",
            "clock": incident.clock.model_copy(update={"duration_s": end_s}),
            "outage": incident.outage.model_copy(update={"end_s": end_s}),
            "load": incident.load.model_copy(update={"phases": phases}),
            "replay": incident.replay.model_copy(
                update={"drain_s": max(incident.replay.drain_s, incident.load.client.patience_s)}
            ),
            "timeline": timeline,
            "expect": Expectations(users_affected=ExpectedShare(share=0.0)),
            "whatif": None,
            "postmortem": None,
        }
    )


def _require_playable(incident: Incident) -> None:
    """Refuse a load that this machine cannot play: it would show its own limits."""
    asked = max(phase.rate_per_s for phase in incident.load.phases)
    processors = os.cpu_count() or 1
    if asked > MOST_PER_S * processors:
        raise UsageError(
            f"{asked:g} logins a second are more than is played here: {MOST_PER_S:g}/s for each of "
            f"{processors} processors",
            remedy="Give the --hold of a bad day (the longer a connection is held, the fewer "
            "logins fill the pools), or audit a part of the fleet with its share of the --peak.",
        )

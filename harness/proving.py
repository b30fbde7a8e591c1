"""A finding of the audit, shown: the incident with exactly the audited values, then remedied.

1. The finding's proof (`harness.audit.proofs`) names the incident, the values and the remedy.
2. Two definitions are written: as audited, and with the remedy. Nobody acts in either of them.
3. Each is run by a ``pooldrill run`` of its own, one after the other: they share this machine.
4. Both recordings are measured; ``proof.json`` says what was played and what came of it.

A run that cannot be trusted makes the proof *invalid*.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from harness import measurements
from harness.audit.proofs import Proof, stage
from harness.errors import PooldrillError
from harness.incident import Incident, dump_incident
from harness.recording import read_recording
from harness.replays import Replays
from harness.stack.interrupts import signals_interrupt
from harness.stack_kinds import USUAL, Where, known
from harness.timemap import build_timemap
from harness.verdicts import validity
from harness.verdicts.evidence import measure
from harness.writing import unwritable, write_text

HARM = 0.1
"""More users affected than with the remedy, from which on a harm is shown."""

STARVED = 0.6
"""Of the surge, in which tasks waited for a processor: the machine is the bottleneck then."""

CURED = 0.05
"""Users affected, at the most, with a remedy that leaves no cause."""

Name = Literal["as audited", "with the remedy"]
REMEDIED: Name = "with the remedy"


@dataclass(frozen=True, slots=True)
class Played:
    """What came of one of the two runs. ``affected`` is a ratio, None where it is not trusted."""

    name: Name
    affected: float | None
    gateway_timeouts: int
    client_timeouts: int
    errors: int
    why: str
    directory: str


@dataclass(frozen=True, slots=True)
class Proven:
    """Whether the harm was shown: ``outcome`` as everywhere, `pass` where it was."""

    proof: Proof
    outcome: Literal["pass", "fail", "invalid"]
    rows: tuple[Played, ...]
    folder: Path


def prove(
    proof: Proof,
    *,
    seed: int = 1,
    out: Path = Path("runs"),
    where: Where = USUAL,
    said: Callable[[str], None] = lambda line: None,
) -> Proven:
    """Play both, and compare. Raises `UsageError` for values that this harness cannot play."""
    known(where.stack)
    staged = {
        "as audited": stage(proof, {}),
        "with the remedy": stage(proof, proof.remedy),
    }
    utc = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    folder = out / f"{utc}-prove-{proof.rule}"
    rows = []
    with signals_interrupt(), Replays(1, name="prove", where=where) as replays:
        for name, incident in staged.items():
            said(f"{name}: {incident.name} is played, for {_length_s(incident):.0f} s")
            rows.append(_played(name, incident, folder / name.replace(" ", "-"), seed, replays))
            if name == REMEDIED and proof.cures:
                rows[-1] = cured(rows[-1])
            said(f"{name}: {_line(rows[-1])}")
    found = Proven(proof, _outcome(*rows), tuple(rows), folder)
    try:
        write_text(folder / "proof.json", json.dumps(as_json(found), indent=2) + "\n")
    except OSError as error:
        raise unwritable(folder, error) from error
    return found


def _played(name: str, incident: Incident, folder: Path, seed: int, replays: Replays) -> Played:
    called: Name = "as audited" if name == "as audited" else "with the remedy"
    try:
        folder.mkdir(parents=True)
        write_text(folder / "incident.yaml", dump_incident(incident))
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        directory, _ = replays.run(
            incident,
            str(folder / "incident.yaml"),
            seed=seed,
            folder=folder,
            log=folder / "run.log",
        )
        evidence = measure(read_recording(directory))
    except PooldrillError as error:
        return Played(called, None, 0, 0, 0, error.message, "")
    distrust = [check.why for check in validity.checks(evidence) if check.outcome != "pass"]
    waiting = measurements.waiting_for_processor(evidence.recording.samples, *evidence.busy)
    if waiting is not None and waiting > STARVED:
        distrust.append(
            f"tasks waited for a processor in {waiting:.0%} of the surge: this machine was the "
            "bottleneck, not what was audited"
        )
    counted = evidence.arrivals
    return Played(
        called,
        None if distrust else evidence.users.affected_ratio,
        counted.gateway_timeout,
        counted.client_timeout,
        counted.http_error,
        "; ".join(distrust),
        str(directory),
    )


def cured(remedied: Played) -> Played:
    """The same, not to be trusted where users are affected although the cause is gone."""
    if remedied.affected is None or remedied.affected <= CURED:
        return remedied
    return replace(
        remedied,
        affected=None,
        why=f"{remedied.affected:.1%} of the users are affected although the cause is gone: "
        "something else than this finding limits what was played",
    )


def _outcome(audited: Played, remedied: Played) -> Literal["pass", "fail", "invalid"]:
    if audited.affected is None or remedied.affected is None:
        return "invalid"
    return "pass" if audited.affected - remedied.affected >= HARM else "fail"


def _length_s(incident: Incident) -> float:
    """How long it takes to play it at the most, but for starting and ending the parts."""
    return build_timemap(incident).replay_length_s + incident.replay.drain_s


def _line(row: Played) -> str:
    if row.affected is None:
        return f"not to be trusted ({row.why})"
    return f"{row.affected:.1%} of the users affected"


def as_json(proven: Proven) -> dict[str, object]:
    """What was played, with each value's place, and what came of it."""
    return {
        "schema": 1,
        "rule": proven.proof.rule,
        "outcome": proven.outcome,
        "incident": proven.proof.incident,
        "audited": [
            {
                "setting": setting.path,
                "value": setting.value,
                "file": setting.place.file if setting.place else None,
                "line": (setting.place.line or None) if setting.place else None,
                "why": setting.why,
            }
            for setting in proven.proof.audited
        ],
        "remedy": dict(proven.proof.remedy),
        "rows": [
            {
                "name": row.name,
                "affected": row.affected,
                "gateway_timeouts": row.gateway_timeouts,
                "client_timeouts": row.client_timeouts,
                "errors": row.errors,
                "why": row.why,
                "directory": row.directory,
            }
            for row in proven.rows
        ],
    }

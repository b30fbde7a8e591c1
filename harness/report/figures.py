"""The figures of an incident's page: what its runs measured, without the machine they ran on.

``docs/incidents/NAME.json`` is `Figures` dumped as JSON, version 1. A page is written from this
file alone, so that no figure on it is anybody's typing. Clocks are incident seconds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import Field

from harness.measurements.model import Clocks, Value
from harness.recording import Recording, RunSource
from harness.timemap import build_timemap
from harness.verdicts import Outcome, Verdict
from harness.verdicts.counterfactual import Matrix

Judged = tuple[Recording, Verdict]

_PLACE = re.compile(r"(?<![\w.])/[^\s:,;'\"]*/")


class CheckFigure(Value):
    """One check of one run; `harness.verdicts.Check` without its reasons."""

    id: str
    outcome: Outcome
    expected: str
    measured: float | int | str | None


class RunFigures(Value):
    """What one seed came to. ``users_affected`` is a ratio, ``replay_s`` the replay's length."""

    seed: int
    source: RunSource
    outcome: Outcome
    replay_s: float
    users_affected: float | None
    clocks_s: Clocks
    checks: tuple[CheckFigure, ...]


class WithoutDefect(Value):
    """The run with the capacity defect taken away, and the ids of the checks that failed in it."""

    outcome: Outcome
    failed: tuple[str, ...]


class Versions(Value):
    """What a run was made with, out of its ``environment.json``; None where that does not say."""

    platform: str | None = None
    cpu_count: int | None = None
    python: str | None = None
    postgres: str | None = None
    pgbouncer: str | None = None
    prometheus: str | None = None


class Figures(Value):
    """Everything measured that stands on an incident's page."""

    schema_version: Literal[1] = Field(1, alias="schema")
    incident: str
    runs: tuple[RunFigures, ...] = Field(min_length=1)
    without_defect: WithoutDefect | None = None
    matrix: Matrix | None = None
    versions: tuple[Versions, ...]

    def to_json(self) -> str:
        """Canonical text: the same figures are always the same bytes."""
        data = self.model_dump(mode="json", by_alias=True)
        return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def figures(
    runs: Sequence[Judged], *, without_defect: Judged | None = None, matrix: Matrix | None = None
) -> Figures:
    """The figures of ``runs``, at least one, in the order of their seeds."""
    ordered = sorted(runs, key=lambda run: run[0].info.seed)
    others = [] if without_defect is None else [without_defect]
    return Figures(
        incident=ordered[0][0].incident.name,
        runs=tuple(_of_run(*run) for run in ordered),
        without_defect=None if without_defect is None else _without_defect(without_defect[1]),
        matrix=None if matrix is None else _placeless(matrix),
        versions=_versions(recording for recording, _ in (*ordered, *others)),
    )


def _of_run(recording: Recording, verdict: Verdict) -> RunFigures:
    full_length = recording.info.source == "full-length"
    return RunFigures(
        seed=recording.info.seed,
        source=recording.info.source,
        outcome=verdict.outcome,
        replay_s=build_timemap(recording.incident, full_length=full_length).replay_length_s,
        users_affected=verdict.users.affected_ratio,
        clocks_s=verdict.clocks_s,
        checks=tuple(
            CheckFigure(
                id=check.id,
                outcome=check.outcome,
                expected=check.expected,
                measured=check.measured,
            )
            for check in verdict.checks
        ),
    )


def _without_defect(verdict: Verdict) -> WithoutDefect:
    failed = tuple(check.id for check in verdict.checks if check.outcome == "fail")
    return WithoutDefect(outcome=verdict.outcome, failed=failed)


def _placeless(matrix: Matrix) -> Matrix:
    """``matrix`` without paths: where its recordings lay, and what the end of a log may say."""
    rows = (
        row.model_copy(
            update={"directory": "", "why": _PLACE.sub("", row.why.partition("\n")[0])},
        )
        for row in matrix.rows
    )
    return matrix.model_copy(update={"rows": tuple(rows)})


def _versions(recordings: Iterable[Recording]) -> tuple[Versions, ...]:
    """Each set of versions once."""
    found = (_version(recording) for recording in recordings)
    return tuple(dict.fromkeys(found))


def _version(recording: Recording) -> Versions:
    told = {name: recording.environment.get(name) for name in Versions.model_fields}
    if isinstance(told["platform"], str):
        # Without the kernel's build, which names a machine and not a kind of it.
        told["platform"] = "-".join(told["platform"].split("-")[:2])
    return Versions.model_validate(told)

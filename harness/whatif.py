"""An incident under other actions: each row is a run of its own, and all together a matrix.

1. The rows are chosen: nothing at all, then the actions asked for, then the incident without each
   of its causes. Each becomes a definition of its own.
2. The folder of the experiment is made; every row's definition is written into it.
3. Each row is run by a ``pooldrill run`` of its own, so many side by side, and its recording kept.
4. The recordings are judged row by row, and the matrix is written: ``whatif.json``, ``whatif.md``.

A row whose run fails is *invalid* and says why; the others go on.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from harness.errors import PooldrillError, UsageError
from harness.incident import Incident, Row, dump_incident, load_without
from harness.incident.variants import NOTHING, moment, rows, under
from harness.recording import read_recording
from harness.replays import Replays
from harness.report.matrix import markdown
from harness.stack.interrupts import signals_interrupt
from harness.stack_kinds import USUAL, Where, known
from harness.verdicts.counterfactual import Matrix, RowResult, result
from harness.writing import unwritable, write_text

WITHOUT = "without-"
"""Rows of the incident without one of its causes begin with this."""


@dataclass(frozen=True)
class WhatIf:
    """What to try on which incident. ``actions`` None: every row that the incident permits."""

    incident: Incident
    source: str
    actions: Sequence[str] | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)
    seed: int = 1
    jobs: int = 1
    out: Path = Path("runs")
    where: Where = USUAL
    said: Callable[[RowResult, int, int], None] = lambda row, done, of: None


@dataclass(frozen=True)
class Planned:
    """A row that is ready to be run. ``at_s`` of its first action, None where nothing is done."""

    name: str
    says: str
    at_s: float | None
    incident: Incident


def planned(asked: WhatIf) -> tuple[Planned, ...]:
    """Step 1; raises UsageError for a row that the incident does not permit."""
    known = {row.name: row for row in rows(asked.incident)}
    truth = asked.incident.truth
    causes = [name for name, cause in (truth.causes if truth else {}).items() if cause.without]
    choices = [NOTHING, *known, *(WITHOUT + name for name in causes)]
    names = choices if asked.actions is None else [NOTHING, *asked.actions]
    unknown = [name for name in names if name not in choices]
    if unknown:
        raise UsageError(
            f"{asked.incident.name} cannot be tried with: {', '.join(unknown)}",
            remedy=f"There are: {', '.join(choices)}.",
        )
    found = []
    for name in dict.fromkeys(names):
        if name.startswith(WITHOUT):
            cause = name.removeprefix(WITHOUT)
            removed = load_without(asked.source, cause, asked.overrides)
            found.append(
                Planned(name, f"the incident without its {cause}", None, under(removed, None))
            )
        elif name == NOTHING:
            found.append(Planned(name, "nobody does anything", None, under(asked.incident, None)))
        else:
            found.append(_planned(asked.incident, known[name]))
    return tuple(found)


def _planned(incident: Incident, row: Row) -> Planned:
    says = row.says or "; ".join(action.says for action in row.actions if action.says)
    at_s = min(action.at_s for action in row.actions)
    return Planned(row.name, says, at_s, under(incident, row))


def whatif(asked: WhatIf) -> tuple[Matrix, Path]:
    """Try every row; the matrix and the folder that holds it and all recordings.

    Raises UsageError before anything was made, RunDirectoryError where nothing can be written.
    """
    known(asked.where.stack)
    tried = planned(asked)
    utc = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    folder = asked.out / f"{utc}-whatif-{asked.incident.name}-{asked.seed}"
    try:
        for row in tried:
            (folder / row.name).mkdir(parents=True)
            write_text(folder / row.name / "incident.yaml", dump_incident(row.incident))
    except OSError as error:
        raise unwritable(folder, error) from error
    with signals_interrupt(), _replays(asked) as replays:
        results = replays.map(_Rows(asked, folder, len(tried), replays).result, tried)
    matrix = Matrix(
        incident=asked.incident.name,
        seed=asked.seed,
        at_s=moment(asked.incident).at_s,
        rows=tuple(results),
    )
    text = json.dumps(matrix.model_dump(mode="json"), indent=2, ensure_ascii=False)
    try:
        write_text(folder / "whatif.json", text + "\n")
        write_text(folder / "whatif.md", f"# {asked.incident.title}\n\n{markdown(matrix)}\n")
    except OSError as error:
        raise unwritable(folder, error) from error
    return matrix, folder


def _replays(asked: WhatIf) -> Replays:
    return Replays(asked.jobs, name="whatif", where=asked.where)


class _Rows:
    """Step 3: what became of each row; said as soon as it is known."""

    def __init__(self, asked: WhatIf, folder: Path, count: int, replays: Replays) -> None:
        self._asked = asked
        self._folder = folder
        self._count = count
        self._done = 0
        self._lock = threading.Lock()
        self._replays = replays

    def result(self, row: Planned) -> RowResult:
        try:
            directory = self._run(row)
            found = result(read_recording(directory), row.name, row.says, row.at_s)
            found = found.model_copy(update={"directory": str(directory)})
        except PooldrillError as error:
            found = RowResult(
                name=row.name,
                says=row.says,
                outcome="invalid",
                minutes=None,
                affected=None,
                success_before=None,
                success_after=None,
                survives=None,
                success_second_surge=None,
                why=error.message,
            )
        with self._lock:
            self._done += 1
            self._asked.said(found, self._done, self._count)
        return found

    def _run(self, row: Planned) -> Path:
        """The run directory of a row. Verdicts are on expectations that a row does not share."""
        here = self._folder / row.name
        directory, _ = self._replays.run(
            row.incident,
            str(here / "incident.yaml"),
            seed=self._asked.seed,
            folder=here,
            log=here / "run.log",
        )
        return directory

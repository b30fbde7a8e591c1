"""An incident's page, from the runs that it rests on.

1. The runs are read and judged again: an old verdict may be one of other rules.
2. Whatever keeps them from being published is found, all of it: another incident or definition, a
   run that did not pass, a run without the defect that did.
3. The figures are made and the page is rendered, before anything is written.
4. ``NAME.json`` (the figures), ``NAME.md`` (the page) and ``README.md`` (the index) are written.

`rewrite` leaves out the first two and takes the figures as they were written: for a new wording.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.errors import PooldrillError, UsageError
from harness.incident import Incident, library, load_incident, load_without, read_incident
from harness.recording import read_recording
from harness.report.figures import Figures, Judged, figures
from harness.report.page import render_index, render_page
from harness.verdicts import judge
from harness.verdicts.counterfactual import Matrix
from harness.whatif import WhatIf, planned
from harness.writing import unwritable, write_text

PLAYED = (
    "kind",
    "clock",
    "outage",
    "service",
    "gateway",
    "database",
    "pgbouncer",
    "load",
    "timeline",
    "replay",
    "slo",
)
"""What of a definition a run plays. The rest are words about it, which may be mended later."""

JUDGED = (*PLAYED, "expect")
"""What a run plays, and what it is judged by."""

RAISED_BY_A_RUN = "database.users"
"""A run seeds as many accounts as its arrivals need."""

WORDS = frozenset({"says", "by"})
"""Fields of an event or an expectation that are words about it."""

MOST_DIFFERENCES = 4
"""Fields named of a definition that differs; a stale one differs in many."""

TRUSTED = ("run.", "load.", "recording.")
"""Checks that say whether a run may be believed, whatever it shows."""

INDEX = "README.md"


@dataclass(frozen=True)
class Sources:
    """What the page of ``incident`` (a library name or a file) is to rest on."""

    incident: str
    runs: Sequence[Path]
    without_defect: Path | None = None
    whatif: Path | None = None
    out: Path = Path("docs/incidents")


def document(sources: Sources) -> tuple[Path, ...]:
    """Write the page, its figures and the index; the paths of the three.

    Raises UsageError with everything that is wrong with the runs, RunDirectoryError where nothing
    can be written.
    """
    incident = load_incident(sources.incident)
    problems: list[str] = []
    runs = _runs(sources, incident, problems)
    without = _without(sources, incident, problems)
    matrix = _matrix(sources, incident, problems)
    if problems:
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise UsageError(
            f"{incident.name} cannot be documented from these runs\n{listed}",
            remedy=f"Run `pooldrill run {incident.name} --seed N`, with `--without defect`, and "
            f"`pooldrill whatif {incident.name} --all` again, and give what they leave.",
        )
    found = figures(runs, without_defect=without, matrix=matrix)
    page = render_page(incident, found)
    written = [_write(sources.out / f"{incident.name}.json", found.to_json())]
    written.append(_write(sources.out / f"{incident.name}.md", page))
    return (*written, _write_index(sources.out))


def rewrite(incident: str | None, out: Path) -> tuple[Path, ...]:
    """Write the page of ``incident`` again from its figures in ``out``; None: every page.

    Raises UsageError where there are no figures, or not such as this version reads.
    """
    names = [name for name in library() if (out / f"{name}.json").exists()]
    if incident is not None:
        names = [incident]
    if not names:
        raise UsageError(
            f"{out} holds no figures of any incident",
            remedy="Write a page with `pooldrill document INCIDENT RUN…`, or give its --out.",
        )
    definitions = [load_incident(name) for name in names]
    pages = {one.name: render_page(one, read_figures(out, one.name)) for one in definitions}
    written = [_write(out / f"{name}.md", page) for name, page in pages.items()]
    return (*written, _write_index(out))


def read_figures(out: Path, name: str) -> Figures:
    """The figures of the incident ``name`` in ``out``; raises UsageError without such."""
    path = out / f"{name}.json"
    remedy = f"Write them with `pooldrill document {name} RUN…`."
    try:
        found = Figures.model_validate_json(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(
            f"{path}: no figures can be read ({error.strerror})", remedy=remedy
        ) from None
    except ValidationError as error:
        raise UsageError(f"{path} does not hold figures: {_first(error)}", remedy=remedy) from None
    if found.incident != name:
        raise UsageError(f"{path} holds figures of {found.incident}", remedy=remedy)
    return found


def index(out: Path) -> str:
    """The index of every incident of the library that has figures in ``out``."""
    names = [name for name in library() if (out / f"{name}.json").exists()]
    return render_index({name: (load_incident(name), read_figures(out, name)) for name in names})


# -- what keeps a run from being published -----------------------------------------------------


def _runs(sources: Sources, incident: Incident, problems: list[str]) -> list[Judged]:
    found = []
    seeds: dict[int, Path] = {}
    if not sources.runs:
        problems.append("no run was given")
    for directory in sources.runs:
        run = _judged(directory, incident, problems)
        if run is None:
            continue
        found.append(run)
        recording, verdict = run
        seed = recording.info.seed
        if seed in seeds:
            problems.append(f"{directory}: seed {seed} is that of {seeds[seed]} too")
        seeds.setdefault(seed, directory)
        if verdict.outcome != "pass":
            bad = ", ".join(check.id for check in verdict.checks if check.outcome != "pass")
            problems.append(
                f"{directory}: it did not pass, its outcome is {verdict.outcome} ({bad})"
            )
    return found


def _without(sources: Sources, incident: Incident, problems: list[str]) -> Judged | None:
    directory = sources.without_defect
    if incident.truth is None:
        if directory is not None:
            problems.append(f"{directory}: a benign control has no defect to be run without")
        return None
    if directory is None:
        problems.append("no run without the defect was given (--without-defect)")
        return None
    run = _judged(directory, load_without(sources.incident, "defect", {}), problems)
    if run is None:
        return None
    verdict = run[1]
    if verdict.outcome != "fail":
        problems.append(
            f"{directory}: without the defect a run must fail, its outcome is {verdict.outcome}"
        )
    doubtful = [c.id for c in verdict.checks if c.id.startswith(TRUSTED) and c.outcome != "pass"]
    if doubtful:
        problems.append(f"{directory}: it cannot be trusted ({', '.join(doubtful)})")
    return run


def _judged(directory: Path, wanted: Incident, problems: list[str]) -> Judged | None:
    """The run in ``directory``, judged; None where it is no run of ``wanted``'s name."""
    try:
        recording = read_recording(directory)
    except PooldrillError as error:
        problems.append(error.message.replace("\n", "\n  "))
        return None
    if recording.incident.name != wanted.name:
        problems.append(f"{directory}: a run of {recording.incident.name}")
        return None
    if differing := differences(recording.incident, wanted, JUDGED):
        problems.append(f"{directory}: the definition differs now: {differing}")
    return recording, judge(recording)


def _matrix(sources: Sources, incident: Incident, problems: list[str]) -> Matrix | None:
    path = sources.whatif
    if path is None:
        return None
    try:
        matrix = Matrix.model_validate_json(path.read_text("utf-8"))
    except OSError as error:
        problems.append(f"{path}: cannot be read ({error.strerror})")
        return None
    except ValidationError as error:
        problems.append(f"{path}: no matrix of `pooldrill whatif` ({_first(error)})")
        return None
    if matrix.incident != incident.name:
        problems.append(f"{path}: a matrix of {matrix.incident}")
        return None
    problems += [f"{path}: {problem}" for problem in _stale_rows(matrix, path, sources, incident)]
    return matrix


def _stale_rows(matrix: Matrix, path: Path, sources: Sources, incident: Incident) -> Iterator[str]:
    """Rows that would be played otherwise now: each was run from a definition beside the matrix."""
    rows = {row.name: row for row in planned(WhatIf(incident, sources.incident))}
    for result in matrix.rows:
        row = rows.get(result.name)
        if row is None:
            yield f"{result.name} is no row of the incident; there are: {', '.join(rows)}"
            continue
        played = path.parent / row.name / "incident.yaml"
        try:
            definition = read_incident(played.read_text("utf-8"), file=str(played))
        except OSError as error:
            yield f"{row.name}: its definition {played} cannot be read ({error.strerror})"
            continue
        except PooldrillError as error:
            yield f"{row.name}: {error.message.partition(chr(10))[0]}"
            continue
        if differing := differences(definition, row.incident, PLAYED):
            yield f"{row.name}: the definition differs now: {differing}"


def differences(run: Incident, wanted: Incident, fields: Sequence[str]) -> str:
    """Where the two differ in ``fields``, as ``load.phases.0.rate is 8/s, now 9/s``; else empty."""
    ran, now = (dict(_leaves(one, fields)) for one in (run, wanted))
    named = [
        f"{key} is {ran.get(key, 'not given')}, now {now.get(key, 'not given')}"
        for key in dict.fromkeys([*ran, *now])
        if ran.get(key) != now.get(key)
    ]
    more = f"; and {len(named) - MOST_DIFFERENCES} more" if len(named) > MOST_DIFFERENCES else ""
    return "; ".join(named[:MOST_DIFFERENCES]) + more


def _leaves(incident: Incident, fields: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Field paths and values, as a run directory's definition has them: without what is None."""

    def walk(path: str, value: Any) -> Iterator[tuple[str, str]]:
        children: list[tuple[Any, Any]] = []
        if isinstance(value, dict):
            children = [(key, child) for key, child in value.items() if key not in WORDS]
        elif isinstance(value, list):
            children = list(enumerate(value))
        if not children and path != RAISED_BY_A_RUN:
            yield path, str(value)
        for key, child in children:
            yield from walk(f"{path}.{key}", child)

    data = incident.model_dump(mode="json", exclude_none=True, include=set(fields))
    for key, value in data.items():
        yield from walk(key, value)


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else first["msg"]


def _write_index(out: Path) -> Path:
    return _write(out / INDEX, index(out))


def _write(path: Path, text: str) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    except OSError as error:
        raise unwritable(path.parent, error) from error
    return path

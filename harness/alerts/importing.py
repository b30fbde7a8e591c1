"""A range of a Prometheus as a recording: rules are scored on what production really showed.

The range is asked for step by step (``query_range``), so that the server's own staleness decides
where a series is and where it is not. Everything is fetched before anything is written.

What was imported has no logins, no timeline and no definition. Its ``incident.yaml`` holds the
clock and, where the caller names the window in which users were harmed, the outage; whatever else
a definition needs says there that it is not known.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml
from numpy.typing import NDArray

from harness.alerts.remote import Access, Server
from harness.alerts.remote_range import KNOWN_SERIES, STEP_S, Asked, check_range, utc_text
from harness.alerts.series import NAME, Labels
from harness.errors import ImportRefusedError, IncidentError, UsageError
from harness.incident import Incident, read_incident
from harness.recording import SAMPLES, TABLES, RecordingWriter, RunInfo
from harness.writing import unwritable

CHUNK_POINTS = 2_000
"""Points a series asked for at once. Prometheus answers 11,000; fewer keep its answers small."""

MOST_SAMPLES = 10_000_000
"""More would not fit beside the rest in a small machine's memory."""

NOT_KNOWN = "Imported: not known here."
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
"""Names that a recording can spell; Prometheus 3 knows others."""

_INSTANT_S = 2e-3
"""How far an answer's instant may lie beside the asked one: both are whole milliseconds."""


@dataclass(frozen=True, slots=True)
class Row:
    """A series on the range's instants: which of them, and its values there."""

    instants: NDArray[np.int64]
    values: NDArray[np.float64]


@dataclass(frozen=True)
class Fetched:
    """What the server held. ``left_out`` counts series that a recording cannot hold, by reason."""

    series: Mapping[Labels, Row]
    left_out: Mapping[str, int]
    warnings: tuple[str, ...]


def import_range(
    url: str,
    *,
    begin: datetime,
    end: datetime,
    name: str,
    out: Path,
    selectors: Sequence[str] = (KNOWN_SERIES,),
    step_s: float = STEP_S,
    window: tuple[datetime, datetime] | None = None,
    access: Access | None = None,
) -> Path:
    """Write the range as the recording ``out/<utc>-<name>-0`` and return that directory.

    ``url`` is the server's base address, with its path prefix if it has one. ``<utc>`` is the
    range's begin, so the same range is imported once. ``window`` is when users were harmed;
    without it the recording is a benign control, on which no alert may fire. ``step_s`` should be
    the scrape interval.

    Raises:
        UsageError: for arguments that make no sense, before anything is asked.
        ImportRefusedError: the server is not there, refuses, is no Prometheus or has no such
            series. Nothing was written.
        RunDirectoryError: the directory cannot be written. What was begun of it is gone.
    """
    asked = check_range(begin=begin, end=end, step_s=step_s, selectors=selectors, window=window)
    incident = definition(name, asked)
    directory = out / f"{asked.begin.astimezone(UTC):%Y%m%dT%H%M%SZ}-{name}-0"
    if directory.exists():
        raise UsageError(
            f"{directory} is there already",
            remedy="Give another name or another place, or remove it first.",
        )
    with Server(url, access or Access()) as server:
        fetched = fetch(server, asked)
    samples = samples_table(fetched.series, asked)
    environment = {
        "import": {
            "url": server.shown,
            "selectors": list(asked.selectors),
            "from": utc_text(asked.begin),
            "to": utc_text(asked.end),
            "step_s": asked.step_s,
            "window": [utc_text(at) for at in asked.window] if asked.window else None,
            "imported_at": utc_text(datetime.now(UTC)),
            "series": len(fetched.series),
            "left_out": dict(fetched.left_out),
            "warnings": list(fetched.warnings),
        }
    }
    _write(directory, incident, asked, samples, environment)
    return directory


def definition(name: str, asked: Asked) -> Incident:
    """The least that can be said of an imported range: its clock, and when users were harmed.

    Raises UsageError for a name that no incident may bear.
    """
    # A length in whole milliseconds: what the file's durations can say.
    length = f"{round(asked.length_s * 1000)}ms"
    data: dict[str, Any] = {
        "schema": 1,
        "kind": "benign" if asked.window is None else "incident",
        "name": name,
        "title": f"Imported from a Prometheus: {name}",
        "summary": (
            f"What a Prometheus stored from {asked}. Only the clock and the outage are known; "
            "service, load and database stand here as a definition needs them."
        ),
        "clock": {"starts_at": utc_text(asked.begin), "duration": length},
        # It was recorded at true speed: with this no part of it counts as shortened.
        "replay": {"settle": length},
        "load": {"phases": [{"name": "imported", "at": "0s", "rate": "0/s"}]},
        "expect": {"users_affected": {"share": 0.0, "tolerance": 0.0}},
    }
    if asked.window is not None:
        harmed, healed = (f"{round(asked.second(at) * 1000)}ms" for at in asked.window)
        data["outage"] = {"begin": harmed, "end": healed}
        # Any share: nobody counted the users.
        data["expect"] = {"users_affected": {"share": 0.5, "tolerance": 0.5}}
        data["truth"] = {
            "trigger": {"says": NOT_KNOWN},
            # A defect must be removable. This one sets what is set already: it removes nothing.
            "capacity_defect": {
                "says": NOT_KNOWN,
                "without": {"load.phases.imported.rate": "0/s"},
            },
            "accepted_fixes": [NOT_KNOWN],
        }
    try:
        return read_incident(yaml.safe_dump(data, sort_keys=False), file="incident.yaml")
    except IncidentError as error:
        if any(problem.field != "name" for problem in error.problems):
            raise
        raise UsageError(
            f"{name!r} cannot be an incident's name",
            remedy="Use lower-case letters, digits and single hyphens, such as payday-outage.",
        ) from None


def fetch(server: Server, asked: Asked) -> Fetched:
    """Every series of the range. Raises ImportRefusedError, also when there is none."""
    chunks: dict[Labels, list[Row]] = {}
    left_out: dict[str, set[Labels]] = {}
    warnings: dict[str, None] = {}
    samples = 0
    for first in range(0, asked.count, CHUNK_POINTS):
        last = min(asked.count, first + CHUNK_POINTS) - 1
        # A series that several selectors select is the same series.
        found: dict[Labels, Row] = {}
        for selector in asked.selectors:
            answer = server.query_range(
                selector,
                from_epoch_s=asked.epoch_s(first),
                to_epoch_s=asked.epoch_s(last),
                step_s=asked.step_s,
            )
            warnings.update(dict.fromkeys(answer.warnings))
            for labels, item in answer.series:
                why = _unfit(labels, item)
                if why:
                    left_out.setdefault(why, set()).add(labels)
                elif labels not in found:
                    found[labels] = _row(item["values"], asked, first, last, server)
                    samples += len(found[labels].values)
            if samples > MOST_SAMPLES:
                raise ImportRefusedError(
                    f"{server.shown} holds more than {MOST_SAMPLES:,} samples in the range {asked}",
                    remedy="Name fewer series, or import a shorter range.",
                )
        for labels, row in found.items():
            chunks.setdefault(labels, []).append(row)
    if not chunks:
        known = ", ".join(asked.selectors)
        why = "".join(f" ({len(gone)} left out: {why})" for why, gone in left_out.items())
        raise ImportRefusedError(
            f"{server.shown} holds no series that match {known} from {asked}{why}",
            remedy="Check the range, which is in UTC, and the selectors.",
        )
    return Fetched(
        {labels: _joined(chunks[labels]) for labels in sorted(chunks)},
        {why: len(gone) for why, gone in sorted(left_out.items())},
        tuple(warnings),
    )


def samples_table(series: Mapping[Labels, Row], asked: Asked) -> pl.DataFrame:
    """``samples.parquet`` of the series. The target is the instance, else the job."""
    rows = []
    for number, labels in enumerate(series):
        own = dict(labels)
        target = own.get("instance") or own.get("job") or "-"
        rows.append((number, target, own[NAME], labels_text(own)))
    keys = pl.DataFrame(
        rows,
        schema={"key": pl.UInt32, "target": pl.String, "metric": pl.String, "labels": pl.String},
        orient="row",
    )
    lengths = [len(row.values) for row in series.values()]
    instants = np.concatenate([row.instants for row in series.values()])
    return (
        pl.DataFrame(
            {
                "key": np.repeat(np.arange(len(lengths), dtype=np.uint32), lengths),
                "time_s": np.round(instants * asked.step_s, 3),
                "value": np.concatenate([row.values for row in series.values()]),
            }
        )
        .sort("time_s", "key")
        .join(keys, on="key", maintain_order="left")
        .select(SAMPLES.names())
    )


def labels_text(labels: Mapping[str, str]) -> str:
    """Labels as ``samples.parquet`` spells them: sorted, without name and instance.

    ``expansion.series_labels`` adds a job and an instance where none is said. A series that has
    none says so with an empty label, which to Prometheus is no label.
    """
    own = {key: text for key, text in labels.items() if key not in (NAME, "instance")}
    own.setdefault("job", "")
    if "instance" not in labels:
        own["instance"] = ""
    return ",".join(f'{key}="{_escaped(own[key])}"' for key in sorted(own))


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _unfit(labels: Labels, item: Mapping[str, Any]) -> str:
    """Why a recording cannot hold the series; empty where it can."""
    if "values" not in item:
        return "native histograms"
    own = dict(labels)
    if not _METRIC.fullmatch(own[NAME]) or not all(map(_LABEL.fullmatch, own)):
        return "names beyond letters, digits and _"
    return ""


def _row(values: Any, asked: Asked, first: int, last: int, server: Server) -> Row:
    try:
        points = [(float(at), float(value)) for at, value in values]
    except (TypeError, ValueError):
        raise server.no_prometheus("its samples are no pairs of numbers") from None
    times = np.array([at for at, _ in points])
    exact = (times - asked.begin_epoch_s) / asked.step_s
    instants = np.round(exact).astype(np.int64)
    beside = np.abs(exact - instants) * asked.step_s > _INSTANT_S
    if beside.any() or (instants < first).any() or (instants > last).any():
        raise ImportRefusedError(
            f"{server.shown} answers for other instants than those asked for ({asked}, each "
            f"{asked.step_s:g} s)",
            remedy="It rounds to its step: begin at a whole multiple of the step.",
        )
    return Row(instants, np.array([value for _, value in points], dtype=np.float64))


def _joined(rows: Sequence[Row]) -> Row:
    return Row(
        np.concatenate([row.instants for row in rows]),
        np.concatenate([row.values for row in rows]),
    )


@contextmanager
def _gone_unless_whole(directory: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise


def _write(
    directory: Path,
    incident: Incident,
    asked: Asked,
    samples: pl.DataFrame,
    environment: Mapping[str, Any],
) -> None:
    info = RunInfo(
        incident.name,
        seed=0,
        source="import",
        t0_epoch=asked.begin_epoch_s,
        end_s=asked.length_s,
    )
    with _gone_unless_whole(directory):
        writer = RecordingWriter(directory, info, incident)
        try:
            writer.environment(environment)
            for table in ("arrivals", "requests", "sessions"):
                writer.table(table, pl.DataFrame(schema=TABLES[table]))
            writer.table("samples", samples)
            writer.update(replace(info, status="complete"))
        except OSError as error:  # the writer's own errors are RunDirectoryError already
            raise unwritable(directory, error) from error
        finally:
            writer.close()

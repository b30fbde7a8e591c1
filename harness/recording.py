"""The run directory: everything measured in one run, on disk, before any judgement.

A recording is written by the run (or the twin, or an import) and read by everything that judges
or shows. Reading checks it whole: what is missing, foreign or damaged is a RecordingError that
names each file, never a half-filled value.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import polars as pl

from harness.errors import RecordingError
from harness.incident import Incident, dump_incident, read_incident
from harness.writing import unwritable, write_parquet, write_text

RunSource = Literal["replay", "full-length", "twin", "import"]
Status = Literal["running", "complete", "partial"]
EventKind = Literal["phase", "action", "decoy", "fault", "note", "lifecycle"]
EventState = Literal["begin", "end", "at"]

ARRIVALS = pl.Schema(
    {
        "arrival": pl.UInt32,
        "user": pl.UInt32,
        "intended_s": pl.Float64,
        "phase": pl.String,
        "address": pl.String,
        "wrong_password": pl.Boolean,
    }
)
REQUESTS = pl.Schema(
    {
        "arrival": pl.UInt32,
        "user": pl.UInt32,
        "attempt": pl.UInt8,
        "sent_s": pl.Float64,
        "done_s": pl.Float64,
        "outcome": pl.String,
        "status": pl.Int16,
        "code": pl.String,
        "replica": pl.String,
    }
)
SAMPLES = pl.Schema(
    {
        "time_s": pl.Float64,
        "target": pl.String,
        "metric": pl.String,
        "labels": pl.String,
        "value": pl.Float64,
    }
)
SESSIONS = pl.Schema({"user": pl.UInt32, "sessions": pl.UInt32})

TABLES: Mapping[str, pl.Schema] = {
    "arrivals": ARRIVALS,
    "requests": REQUESTS,
    "samples": SAMPLES,
    "sessions": SESSIONS,
    "prometheus": SAMPLES,
}

OPTIONAL_TABLES = frozenset({"prometheus"})
"""Absent where no Prometheus ran beside the run."""

BUCKETS = (
    "ok",
    "http_error",
    "gateway_timeout",
    "client_timeout",
    "refused",
    "in_flight_at_end",
    "shed_by_generator",
)
"""Where an arrival can end; each ends in exactly one."""


@dataclass(frozen=True, slots=True)
class RunInfo:
    """``run.json``: what the run was and how far it came."""

    incident: str
    seed: int
    source: RunSource = "replay"
    status: Status = "running"
    why: str = ""
    t0_epoch: float | None = None
    end_s: float | None = None
    schema: int = 1


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """A line of ``events.jsonl``; ``t_s`` is replay time."""

    t_s: float
    kind: EventKind
    name: str
    state: EventState = "at"
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AlertFiring:
    """One alert from its first evaluation that held to its resolution, in incident seconds.

    ``resolved_s`` is None where it fired to the end of the recording.
    """

    labels: Mapping[str, str]
    pending_s: float
    fired_s: float
    resolved_s: float | None


@dataclass(frozen=True, slots=True)
class AlertTimeline:
    """A line of ``alerts.jsonl``: what one rule did over the whole incident.

    ``state`` unknown: it could not be evaluated, ``why`` says why. Evaluated by a real Prometheus
    over the recording at incident length, with these scrape and evaluation intervals.
    """

    alert: str
    severity: str
    state: Literal["fired", "silent", "unknown"]
    expr: str
    for_s: float
    scrape_s: float
    interval_s: float
    group_wait_s: float
    runbook: str = ""
    why: str = ""
    firings: tuple[AlertFiring, ...] = ()


@dataclass(frozen=True)
class Recording:
    """One run as it was measured. Tables have the schemas of this module, sorted by time."""

    directory: Path
    info: RunInfo
    incident: Incident
    arrivals: pl.DataFrame
    requests: pl.DataFrame
    samples: pl.DataFrame
    sessions: pl.DataFrame
    events: tuple[TimelineEvent, ...]
    environment: Mapping[str, Any]
    prometheus: pl.DataFrame | None = None
    """What a real Prometheus scraped beside the recorder; None where none ran."""
    alerts: tuple[AlertTimeline, ...] | None = None
    """What alert rules did over it; None where none were evaluated."""


class RecordingWriter:
    """Writes a run directory piece by piece; every piece is whole or absent.

    Raises RunDirectoryError where the directory cannot be written (full, read-only, no
    permission), RecordingError never.
    """

    def __init__(self, directory: Path, info: RunInfo, incident: Incident) -> None:
        self.directory = directory
        self.info = info
        try:
            (directory / "logs").mkdir(parents=True)
            self._write_info()
            write_text(directory / "incident.yaml", dump_incident(incident))
            self._events = (directory / "events.jsonl").open("x", encoding="utf-8", buffering=1)
        except OSError as error:
            raise unwritable(directory, error) from error

    def event(self, event: TimelineEvent) -> None:
        """Append one event; it is on disk when this returns."""
        try:
            self._events.write(json.dumps(asdict(event), ensure_ascii=False) + "\n")
        except OSError as error:
            raise unwritable(self.directory, error) from error

    def table(self, name: str, frame: pl.DataFrame) -> None:
        """Write ``name``.parquet; ``frame`` is cast to the table's schema."""
        columns = [pl.col(column).cast(kind) for column, kind in TABLES[name].items()]
        try:
            write_parquet(self.directory / f"{name}.parquet", frame.select(columns))
        except OSError as error:
            raise unwritable(self.directory, error) from error

    def environment(self, environment: Mapping[str, Any]) -> None:
        try:
            text = json.dumps(environment, indent=2, sort_keys=True)
            write_text(self.directory / "environment.json", text + "\n")
        except OSError as error:
            raise unwritable(self.directory, error) from error

    def update(self, info: RunInfo) -> None:
        """Replace ``run.json``."""
        self.info = info
        try:
            self._write_info()
        except OSError as error:
            raise unwritable(self.directory, error) from error

    def close(self) -> None:
        self._events.close()

    def _write_info(self) -> None:
        write_text(self.directory / "run.json", json.dumps(asdict(self.info), indent=2) + "\n")


def read_recording(directory: Path) -> Recording:
    """The recording in ``directory``; raises RecordingError naming everything that is wrong."""
    if not directory.is_dir():
        raise RecordingError(
            f"{directory}: no such run directory", remedy="Give a directory below runs/."
        )
    problems: list[str] = []
    info = _read_info(directory, problems)
    incident = _read_definition(directory, problems)
    tables = {name: _read_table(directory, name, problems) for name in TABLES}
    events = _read_events(directory, problems)
    environment = _read_json(directory / "environment.json", problems)
    alerts = _read_alerts(directory, problems)
    if problems or info is None or incident is None:
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise RecordingError(
            f"{directory} is not a whole run directory:\n{listed}",
            remedy="Only directories written by `pooldrill run` can be judged; run it again.",
        )
    return Recording(
        directory=directory,
        info=info,
        incident=incident,
        arrivals=tables["arrivals"].sort("arrival"),
        requests=tables["requests"].sort("arrival", "attempt"),
        samples=tables["samples"].sort("time_s", maintain_order=True),
        sessions=tables["sessions"].sort("user"),
        events=events,
        environment=environment,
        prometheus=tables["prometheus"] if (directory / "prometheus.parquet").exists() else None,
        alerts=alerts,
    )


def write_alerts(directory: Path, timelines: Iterable[AlertTimeline]) -> Path:
    """Write ``alerts.jsonl`` into a run directory. Raises `RunDirectoryError`."""
    path = directory / "alerts.jsonl"
    lines = [json.dumps(asdict(each), ensure_ascii=False) for each in timelines]
    try:
        write_text(path, "".join(f"{line}\n" for line in lines))
    except OSError as error:
        raise unwritable(directory, error) from error
    return path


def _read_alerts(directory: Path, problems: list[str]) -> tuple[AlertTimeline, ...] | None:
    path = directory / "alerts.jsonl"
    if not path.exists():
        return None
    found = []
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"alerts.jsonl: not readable ({error})")
        return None
    for number, line in enumerate(lines, start=1):
        try:
            data = json.loads(line)
            firings = tuple(AlertFiring(**firing) for firing in data.pop("firings"))
            found.append(AlertTimeline(**data, firings=firings))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            problems.append(f"alerts.jsonl:{number}: {error}")
    return tuple(found)


def _read_json(path: Path, problems: list[str]) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        problems.append(f"{path.name}: missing")
    except (OSError, ValueError) as error:
        problems.append(f"{path.name}: not readable as JSON ({error})")
    else:
        if isinstance(value, dict):
            return value
        problems.append(f"{path.name}: not a JSON object")
    return {}


def _read_info(directory: Path, problems: list[str]) -> RunInfo | None:
    data = _read_json(directory / "run.json", problems)
    if not data:
        return None
    if data.get("schema") != 1:
        problems.append(f"run.json: schema {data.get('schema')!r} is not known here (1 is)")
        return None
    try:
        info = RunInfo(**data)
    except TypeError as error:
        problems.append(f"run.json: {error}")
        return None
    if info.source not in get_args(RunSource) or info.status not in get_args(Status):
        problems.append(f"run.json: source {info.source!r}, status {info.status!r} are not known")
    return info


def _read_definition(directory: Path, problems: list[str]) -> Incident | None:
    path = directory / "incident.yaml"
    try:
        return read_incident(path.read_text("utf-8"), file=path.name)
    except FileNotFoundError:
        problems.append("incident.yaml: missing")
    except Exception as error:  # noqa: BLE001 - whatever is wrong, the answer is the same
        problems.append(f"incident.yaml: {error}")
    return None


def _read_table(directory: Path, name: str, problems: list[str]) -> pl.DataFrame:
    path = directory / f"{name}.parquet"
    schema = TABLES[name]
    empty = pl.DataFrame(schema=schema)
    if not path.exists():
        if name not in OPTIONAL_TABLES:
            problems.append(f"{path.name}: missing")
        return empty
    try:
        frame = pl.read_parquet(path, memory_map=False)
    except Exception as error:  # noqa: BLE001 - Parquet readers raise many kinds
        problems.append(f"{path.name}: truncated or not Parquet ({str(error).splitlines()[0]})")
        return empty
    wrong = [
        f"{column}: {frame.schema.get(column, 'missing')} instead of {kind}"
        for column, kind in schema.items()
        if frame.schema.get(column) != kind
    ]
    if wrong:
        problems.append(f"{path.name}: columns differ ({'; '.join(wrong)})")
        return empty
    return frame.select(schema.names())


def _read_events(directory: Path, problems: list[str]) -> tuple[TimelineEvent, ...]:
    path = directory / "events.jsonl"
    if not path.exists():
        problems.append("events.jsonl: missing")
        return ()
    events = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        try:
            events.append(TimelineEvent(**json.loads(line)))
        except (ValueError, TypeError) as error:
            problems.append(f"events.jsonl:{number}: {error}")
    return tuple(events)

"""From text to `Incident`: every problem at once, each with its file, line and field path."""

from __future__ import annotations

import difflib
import json
import types
import typing
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path as FilePath
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from harness.errors import IncidentError, Problem, UnknownIncidentError
from harness.incident.models import Incident
from harness.incident.source import Path, Source, parse_path
from harness.incident.units import FROM_FILE, parse_duration_s


def library() -> dict[str, Traversable]:
    """Every incident that ships with Pooldrill, by name."""
    found: dict[str, Traversable] = {}
    for folder in ("incidents", "benign"):
        root = resources.files("scenarios") / folder
        if root.is_dir():
            for entry in sorted(root.iterdir(), key=lambda item: item.name):
                if entry.name.endswith(".yaml"):
                    found[entry.name.removesuffix(".yaml")] = entry
    return found


def load_incident(name_or_path: str, overrides: Mapping[str, str] | None = None) -> Incident:
    """The incident of that name in the library, or in that file.

    ``overrides`` maps field paths (``service.pool.size``) to YAML values, as ``--set`` gives them.
    Raises IncidentError with all problems, UnknownIncidentError with the nearest names.
    """
    known = library()
    if name_or_path in known:
        entry = known[name_or_path]
        return read_incident(entry.read_text("utf-8"), file=entry.name, overrides=overrides)
    path = FilePath(name_or_path)
    if path.suffix in {".yaml", ".yml"} or "/" in name_or_path:
        try:
            return read_incident(path.read_text("utf-8"), file=str(path), overrides=overrides)
        except OSError as error:
            raise UnknownIncidentError(
                f"{path}: {error.strerror}", remedy="Give an incident's name or its file."
            ) from None
        except UnicodeDecodeError:
            raise IncidentError(str(path), [Problem("not UTF-8 text", str(path))]) from None
    near = difflib.get_close_matches(name_or_path, known, n=3, cutoff=0.4)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    raise UnknownIncidentError(
        f"no incident is called '{name_or_path}'",
        remedy=f"{hint}`pooldrill list` shows all {len(known)}; a path to a YAML file works too.",
    )


def read_incident(text: str, *, file: str, overrides: Mapping[str, str] | None = None) -> Incident:
    """``text`` as an Incident; raises IncidentError with every problem that can be seen."""
    source = Source(text, file=file)
    if source.data is None:
        raise IncidentError(file, source.problems)
    problems = source.problems + _apply(source, overrides or {})
    incident: Incident | None = None
    try:
        incident = Incident.model_validate(source.data, context=FROM_FILE)
    except ValidationError as error:
        # An item that is refused leaves its list "too short": only the item is worth saying.
        problems += [
            _explain(source, detail)
            for detail in error.errors()
            if not (detail["type"] == "too_short" and detail["input"])
        ]
    problems += [source.problem(path, message) for path, message in _contradictions(source.data)]
    if problems or incident is None:
        raise IncidentError(file, sorted(problems, key=lambda p: (p.line or 0, p.field or "")))
    return incident


def dump_incident(incident: Incident) -> str:
    """The resolved definition as YAML that `read_incident` reads back to an equal value."""
    data = incident.model_dump(mode="json", exclude_none=True)
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of an incident file, as editors and validators want it."""
    schema = Incident.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _apply(source: Source, overrides: Mapping[str, str]) -> list[Problem]:
    problems = []
    for key, text in overrides.items():
        path = parse_path(key)
        try:
            source.override(path, yaml.safe_load(text))
        except KeyError as error:
            said = f"there is no {error.args[0]} to set"
            problems.append(Problem(said, "--set", None, key))
        except yaml.YAMLError:
            problems.append(Problem(f"'{text}' is not a YAML value", "--set", None, key))
    return problems


def _explain(source: Source, detail: Any) -> Problem:
    """A pydantic error in the words of the file."""
    path = _file_path(source, detail["loc"])
    kind, message = detail["type"], str(detail["msg"]).removeprefix("Value error, ")
    if kind == "extra_forbidden":
        choices = _fields_at(path[:-1], source.data)
        near = difflib.get_close_matches(str(path[-1]), choices, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"known here: {', '.join(sorted(choices))}"
        message = f"unknown field; {hint}"
    elif kind == "missing":
        message = "this field is required"
    elif kind not in {"value_error", "union_tag_invalid", "union_tag_not_found"}:
        shown = json.dumps(detail["input"], default=str)
        message = f"{message}; got {shown if len(shown) < 60 else shown[:57] + '...'}"
    return source.problem(path, message)


def _file_path(source: Source, loc: tuple[int | str, ...]) -> Path:
    """``loc`` without the tags that pydantic adds for the chosen member of a union."""
    path: list[int | str] = []
    here: Any = source.data
    for number, part in enumerate(loc):
        last = number == len(loc) - 1
        if isinstance(here, dict) and part not in here and not last:
            continue
        if isinstance(here, dict) and here.get("do") == part and part not in here:
            continue
        path.append(part)
        if isinstance(here, dict):
            here = here.get(part)
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            here = here[part]
        else:
            here = None
    return tuple(path)


def _fields_at(path: Path, data: Any) -> list[str]:
    """The file names of the fields that may stand at ``path``."""
    models: list[type[BaseModel]] = [Incident]
    here = data
    for part in path:
        if isinstance(part, int):
            here = here[part] if isinstance(here, list) else None
            tag = here.get("do") if isinstance(here, dict) else None
            tagged = [m for m in models if tag in _literals(m)]
            models = tagged or models
            continue
        here = here.get(part) if isinstance(here, dict) else None
        models = [
            inner
            for model in models
            for name, field in model.model_fields.items()
            if part in (field.alias, name)
            for inner in _models_in(field.annotation)
        ]
    return [f.alias or name for model in models for name, f in model.model_fields.items()]


def _literals(model: type[BaseModel]) -> tuple[Any, ...]:
    field = model.model_fields.get("do")
    return typing.get_args(field.annotation) if field else ()


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        if issubclass(annotation, BaseModel):
            yield annotation
        return
    for inner in typing.get_args(annotation):
        yield from _models_in(inner)


def _contradictions(data: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    """What no single field can show. Reads plain data, so that it speaks even beside other errors;
    what cannot be read as a time is left to the field's own message."""
    duration_s = _seconds(data, ("clock", "duration"))
    yield from _order(data, ("load", "phases"), duration_s)
    yield from _order(data, ("timeline",), duration_s)
    first_s = _seconds(data, ("load", "phases", 0, "at"))
    if first_s:
        yield ("load", "phases", 0, "at"), "the first phase begins at 0s"
    begin_s, end_s = (_seconds(data, ("outage", key)) for key in ("begin", "end"))
    if begin_s is not None and end_s is not None and begin_s >= end_s:
        yield ("outage",), "the outage ends before it begins"
    if duration_s is not None and end_s is not None and end_s > duration_s:
        yield ("outage", "end"), "the outage ends after the incident does"
    yield from _repeated_names(data)


def _order(
    data: dict[str, Any], path: Path, duration_s: float | None
) -> Iterator[tuple[Path, str]]:
    entries = _get(data, path)
    previous_s: float | None = None
    for number in range(len(entries) if isinstance(entries, list) else 0):
        here = (*path, number, "at")
        at_s = _seconds(data, here)
        if at_s is None:
            continue
        if previous_s is not None and at_s < previous_s:
            yield here, "out of order: it stands after an entry that comes later"
        if duration_s is not None and at_s >= duration_s:
            yield here, "comes after the end of the incident (clock.duration)"
        previous_s = at_s


def _repeated_names(data: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    seen: set[str] = set()
    phases = _get(data, ("load", "phases"))
    for number, phase in enumerate(phases if isinstance(phases, list) else ()):
        name = phase.get("name") if isinstance(phase, dict) else None
        if isinstance(name, str) and name in seen:
            yield ("load", "phases", number, "name"), f"a phase called '{name}' came before"
        elif isinstance(name, str):
            seen.add(name)


def _get(data: Any, path: Path) -> Any:
    for part in path:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def _seconds(data: dict[str, Any], path: Path) -> float | None:
    value = _get(data, path)
    try:
        return parse_duration_s(value) if isinstance(value, str) else None
    except ValueError:
        return None


@cache
def schema_text() -> str:
    """`json_schema` as text, for the `schema` command."""
    return json.dumps(json_schema(), indent=2)

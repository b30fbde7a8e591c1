"""From text to `Incident`: every problem at once, each with its file, line and field path."""

from __future__ import annotations

import difflib
import json
import types
import typing
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path as FilePath
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from harness.errors import IncidentError, Problem, UnknownIncidentError, UsageError
from harness.incident.contradictions import contradictions
from harness.incident.models import Incident, Truth
from harness.incident.source import Path, Source, dotted, parse_path
from harness.incident.units import FROM_FILE


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
    near = difflib.get_close_matches(name_or_path, known, n=3, cutoff=0.7)
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
    as_written = deepcopy(source)
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
    problems += [source.problem(path, message) for path, message in contradictions(source.data)]
    if incident is not None and incident.truth is not None:
        problems += _irremovable(incident.truth, source, as_written)
    if problems or incident is None:
        raise IncidentError(file, sorted(problems, key=lambda p: (p.line or 0, p.field or "")))
    return incident


def load_without(name_or_path: str, cause: str, overrides: Mapping[str, str]) -> Incident:
    """The incident without its ``defect``, ``trigger`` or ``loop``, as its truth says.

    Raises UsageError when its truth names no such cause, or not how to remove it.
    """
    incident = load_incident(name_or_path, overrides)
    causes = incident.truth.causes if incident.truth else {}
    removable = [name for name, found in causes.items() if found.without]
    if cause not in removable:
        choices = ", ".join(removable) or "nothing can be removed"
        raise UsageError(
            f"{incident.name} cannot be run without its {cause}",
            remedy=f"Its truth says how to remove: {choices}.",
        )
    removed = {key: as_yaml(value) for key, value in causes[cause].without.items()}
    return load_incident(name_or_path, {**overrides, **removed})


def as_yaml(value: Any) -> str:
    """``value`` on one line, as `--set` takes it."""
    return (
        yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("...\n").strip()
    )


def dump_incident(incident: Incident) -> str:
    """The resolved definition as YAML that `read_incident` reads back to an equal value."""
    data = incident.model_dump(mode="json", exclude_none=True)
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of an incident file, as editors and validators want it."""
    schema = Incident.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _irremovable(truth: Truth, source: Source, as_written: Source) -> Iterator[Problem]:
    """Causes whose ``without`` does not lead to a definition."""
    fields = {"trigger": "trigger", "loop": "sustaining_loop", "defect": "capacity_defect"}
    for name, cause in truth.causes.items():
        if not cause.without:
            continue
        other = deepcopy(as_written)
        overrides = {key: as_yaml(value) for key, value in cause.without.items()}
        said = [f"{p.field}: {p.message}" for p in _apply(other, overrides)]
        try:
            Incident.model_validate(other.data, context=FROM_FILE)
        except ValidationError as error:
            said += [f"{dotted(_file_path(other, d['loc']))}: {d['msg']}" for d in error.errors()]
        for message in said:
            yield source.problem(("truth", fields[name], "without"), message)


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


@cache
def schema_text() -> str:
    """`json_schema` as text, for the `schema` command."""
    return json.dumps(json_schema(), indent=2)

"""Dockerfiles, by dockerfile-parse: what the last stage starts, and its variables.

Stages before it are images as well, for those who build them by name (``target``).

Source: https://docs.docker.com/reference/dockerfile/
"""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import PurePath
from typing import Any

from dockerfile_parse import DockerfileParser
from dockerfile_parse.util import extract_key_values

from harness.audit.finding import Unread
from harness.audit.loaders.commands import Word, located, program_of, runtime_of, words_at
from harness.audit.loaders.containers import Container, read
from harness.audit.loaders.secrets import without_secrets
from harness.audit.parts import Pooler, Server
from harness.audit.reading import Environment, Image, Reading, Runtime, of_stage
from harness.audit.sources import SourceFile
from harness.audit.values import Place, Settings, Value, replaced

_NAME = re.compile(r"(?i)(docker|container)file([.-].+)?|.+\.(docker|container)file")
_FROM = re.compile(r"^\s*FROM\s", re.IGNORECASE | re.MULTILINE)
_HERE = re.compile(r"^\s*(?:RUN|COPY|ADD)\b.*<<-?\s*([\"']?)(\w+)\1", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Stage:
    """What one ``FROM`` begins; a stage that is built on another inherits."""

    image: str
    entrypoint: tuple[Word, ...] = ()
    command: tuple[Word, ...] = ()
    environment: Settings = field(default_factory=dict)


def recognises(file: SourceFile) -> bool:
    """By its name, and what it builds upon."""
    name = file.path.name
    if _NAME.fullmatch(name) is None or name.endswith("ignore"):
        return False
    return _FROM.search(file.text) is not None


def load(file: SourceFile) -> Reading:
    """The runtime and variables of the image; settings of an image made of a database's."""
    try:
        stages = _stages(file)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        return Reading(unread=(Unread(file.name, f"not a Dockerfile ({type(error).__name__})"),))
    if not stages:
        return Reading()
    name, place = os.path.normpath(file.name), Place(file.name)
    last = [*stages.values()][-1]
    named = {of_stage(name, key): each for key, each in stages.items() if not key.isdecimal()}
    found = _read(file, last, place, name)
    staged = [_read(file, stage, place, image) for image, stage in named.items()]
    return replace(
        found,
        runtimes=(*found.runtimes, *(each for one in staged for each in one.runtimes)),
        environments=(*found.environments, *(each for one in staged for each in one.environments)),
        images=tuple(_image(*each, place) for each in ((name, last), *named.items())),
    )


def _image(name: str, stage: _Stage, place: Place) -> Image:
    starts = bool(stage.entrypoint or stage.command)
    return Image(name=name, place=place, base=stage.image, starts=starts)


def _read(file: SourceFile, stage: _Stage, place: Place, image: str) -> Reading:
    """What the image of that name is and starts, which ends with this stage."""
    words = (*stage.entrypoint, *stage.command)
    container = Container(
        name=file.name,
        place=place,
        image=stage.image,
        words=words,
        environment=stage.environment,
        elsewhere=True,
    )
    if words and container.role in ("server", "pooler"):
        found = read(container, kind="image")
        said = any(map(_says, found.servers)) or any(map(_says, found.poolers))
        return found if said else Reading()
    own = Environment(name=image, place=place, settings=without_secrets(stage.environment))
    environments = (own,) if stage.environment else ()
    if not words:
        return Reading(environments=environments)
    where = replace(words[-1][1] if stage.command else words[0][1], key="CMD")
    folder = str(PurePath(file.name).parent)
    runtime = runtime_of(words, where, folder, stage.environment)
    if runtime is None:
        argument, _ = program_of(words)
        unknown: Value[int] = Value.unknown(f"{argument} does not say what it starts", where)
        asked = Runtime(
            place=where, folder=folder, processes=unknown, argument=argument, image=image
        )
        return Reading(runtimes=(asked,) if argument else (), environments=environments)

    def decided(value: Value[Any]) -> Value[Any]:
        variable = value.variable
        found = value.resolved(stage.environment)
        return found if variable is None else found.decided_by(variable)

    runtime = replace(replaced(runtime, decided), image=image)
    return Reading(runtimes=(runtime,), environments=environments)


def _says(part: Server | Pooler) -> bool:
    """Whether a setting stands in the file: else nothing is known but what it is."""
    values = (getattr(part, each.name) for each in fields(part))
    return any(isinstance(each, Value) and each.origin == "file" for each in values)


def _stages(file: SourceFile) -> Mapping[str, _Stage]:
    """By their names, in their order; a stage without a name has its number."""
    stages: dict[str, _Stage] = {}
    stage: _Stage | None = None
    name = ""
    for instruction, value, line in _instructions(file):
        place = Place(file.name, line, instruction)
        if instruction == "FROM":
            base, name = _from(value, len(stages))
            stage = stages.get(base) or _Stage(base)
            stages.pop(name, None)  # the last of one name is the one that is meant
        elif stage is not None:
            stage = _changed(stage, instruction, value, place, file.text)
        if stage is not None:
            stages[name] = stage
    return stages


def _from(value: str, count: int) -> tuple[str, str]:
    """The base, and the name of the stage: of its own, else its number."""
    words = [word for word in value.split() if not word.startswith("--")]
    named = len(words) == 3 and words[1].lower() == "as"
    return (words[0].lower() if words else ""), (words[2].lower() if named else str(count))


def _changed(stage: _Stage, instruction: str, value: str, place: Place, text: str) -> _Stage:
    """An entrypoint of its own sets an inherited command back."""
    if instruction == "CMD":
        return replace(stage, command=_words(value, place, text))
    if instruction == "ENTRYPOINT":
        return replace(stage, entrypoint=_words(value, place, text), command=())
    if instruction == "ENV" and value.strip():
        said: Mapping[str, tuple[str, Place]] = {
            key: (text, replace(place, key=key))
            for key, text in extract_key_values(False, {}, {}, value)
        }
        return replace(stage, environment={**stage.environment, **said})
    return stage


def _words(value: str, place: Place, text: str) -> tuple[Word, ...]:
    """Both forms: a list of words, and a shell's line."""
    try:
        said = json.loads(value)
    except (ValueError, RecursionError):
        return located(words_at(value, place), text)
    if not isinstance(said, list):
        return ()
    return located([(word, place) for word in said if isinstance(word, str)], text)


def _instructions(file: SourceFile) -> Iterator[tuple[str, str, int]]:
    parser = DockerfileParser(fileobj=io.BytesIO(_without_documents(file.text).encode()))
    for each in parser.structure:
        yield each["instruction"].upper(), each["value"], each["startline"] + 1


def _without_documents(text: str) -> str:
    """With the bodies of ``RUN <<EOF`` empty: the parser takes their lines for instructions."""
    lines: list[str] = []
    end = ""
    for line in text.split("\n"):
        if end:
            end = "" if line.strip() == end else end
            lines.append("#")
            continue
        lines.append(line)
        if (found := _HERE.match(line)) is not None:
            end = found[2]
    return "\n".join(lines)

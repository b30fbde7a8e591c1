"""Procfiles, and Heroku's ``app.json`` beside them: processes, their number and variables.

Source: https://devcenter.heroku.com/articles/procfile and
https://devcenter.heroku.com/articles/app-json-schema. The format of a Procfile is one line,
``type: command``, and no library is kept for that.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import PurePath

from harness.audit.finding import Unread
from harness.audit.loaders.commands import words_at
from harness.audit.loaders.containers import Container, read, together
from harness.audit.loaders.secrets import without_secrets
from harness.audit.reading import Environment, Reading, Scale
from harness.audit.sources import SourceFile
from harness.audit.values import Place, Value, read_at
from harness.audit.yamls import NotReadable, documents

KIND, HEROKU = "Procfile", "Heroku"
APP = "app.json"
_LINE = re.compile(r"([A-Za-z0-9_-]+):\s*(\S.*)")


def recognises(file: SourceFile) -> bool:
    """By their names."""
    if file.path.name == APP:
        return any(f'"{key}"' in file.text for key in ("formation", "buildpacks", "addons"))
    return file.path.name == "Procfile" or file.path.name.startswith("Procfile.")


def load(file: SourceFile) -> Reading:
    """A deployment for each type of process that stays; how many there are, ``app.json`` says."""
    if file.path.name == APP:
        return _app(file)
    found = []
    for number, line in enumerate(file.lines, 1):
        said = _LINE.match(line.strip())
        if said is not None and said[1] != "release":
            found.append(_process(file, said[1], said[2], number))
    return together(*found)


def _process(file: SourceFile, name: str, command: str, line: int) -> Reading:
    place = Place(file.name, line, name)
    folder = str(PurePath(file.name).parent)
    why = "the platform says how many of each process run"
    reading = read(
        Container(
            name=name,
            place=place,
            words=words_at(command, place),
            hosts=(name,),
            replicas=Value.unknown(why, place),
        ),
        kind=KIND,
        folder=folder,
        environment_files=(os.path.normpath(os.path.join(folder, APP)),),
    )
    serves = Value.default(name == "web", HEROKU, place)
    return replace(
        reading,
        deployments=tuple(
            replace(each, runtime=each.runtime and replace(each.runtime, serves=serves))
            for each in reading.deployments
        ),
    )


def _app(file: SourceFile) -> Reading:
    try:
        found = documents(file.text)
    except NotReadable as error:
        return Reading(unread=(Unread(file.name, str(error), error.line),))
    settings, scales = {}, []
    for document in found:
        for key, item in document.pairs("env"):
            text = item.text if item.text is not None else item.text_at("value")
            if text:
                settings[key] = text, Place(file.name, item.line, key)
        for name, item in document.pairs("formation"):
            if (count := item.get("quantity")) is not None:
                place = Place(file.name, count.line, f"{name}.quantity")
                replicas = read_at(count.text or "", place, "quantity", int)
                scales.append(Scale(of=name, kind=KIND, replicas=replicas))
    own = Environment(
        name=os.path.normpath(file.name), place=Place(file.name), settings=without_secrets(settings)
    )
    return Reading(environments=(own,) if settings else (), scales=tuple(scales))

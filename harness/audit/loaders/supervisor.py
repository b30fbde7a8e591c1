"""supervisord's programs: what each starts, how often, and with which variables.

Source: https://supervisord.org/configuration.html#program-x-section-settings. The lines are read
here: the standard library's parser keeps none of their numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from harness.audit.loaders.commands import words_at
from harness.audit.loaders.containers import Container, read, together
from harness.audit.reading import Reading
from harness.audit.sources import SourceFile
from harness.audit.values import Place, Settings, Value, read_at

KIND = SUPERVISOR = "supervisor"
_SECTION = re.compile(r"^\[program:([^\]\r\n]+)\]", re.MULTILINE)
_ANY_SECTION = re.compile(r"\[([^\]]+)\]")
_SUFFIXES = frozenset({".conf", ".ini", ".supervisor"})
_FROM_ENVIRONMENT = re.compile(r"%\(ENV_(\w+)\)s")
_EXPANSION = re.compile(r"%\(\w+\)[sd]\w*|%\(\w+\)0?\d*d")
_HERE = ("localhost", "127.0.0.1")


def recognises(file: SourceFile) -> bool:
    """By a program's section."""
    return file.path.suffix in _SUFFIXES and _SECTION.search(file.text) is not None


def load(file: SourceFile) -> Reading:
    """A deployment, pooler or server for each program that is started by itself."""
    return together(*(_program(file, name, said) for name, said in _programs(file)))


def _program(file: SourceFile, name: str, said: Settings) -> Reading:
    if "command" not in said or said.get("autostart", ("true",))[0].lower() in ("false", "0", "no"):
        return Reading()
    text, where = said["command"]
    words = words_at(text, where)
    place = replace(where, key=name)
    replicas: Value[int] = Value.default(1, SUPERVISOR, place)
    if "numprocs" in said:
        number, at = said["numprocs"]
        replicas = read_at(number, at, "numprocs", int)
    container = Container(
        name=name,
        place=place,
        words=words,
        environment=_variables(*said["environment"]) if "environment" in said else {},
        hosts=_HERE,
        replicas=replicas,
        mounts=("postgresql.conf",),  # where a machine's server has its settings
        elsewhere=True,
    )
    if container.role == "program":
        container = replace(container, hosts=())  # which of a machine's programs, nobody says
    return read(container, kind=KIND, surge=Value.default(0.0, SUPERVISOR, place))


def _variables(text: str, place: Place) -> dict[str, tuple[str, Place]]:
    """``A="x",B='y',C=z``; a comma within quotes is part of a value."""
    found = {}
    for match in re.finditer(r"""(\w+)\s*=\s*("[^"]*"|'[^']*'|[^,]*)""", text):
        value = match[2].strip()
        quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
        found[match[1]] = value[1:-1] if quoted else value, replace(place, key=match[1])
    return found


def _programs(file: SourceFile) -> Iterator[tuple[str, Mapping[str, tuple[str, Place]]]]:
    """Each program with its settings, where each of these begins."""
    sections: dict[str, dict[str, tuple[str, Place]]] = {}
    section, key = "", ""
    for number, line in enumerate(file.lines, 1):
        stripped = re.split(r"\s;", line)[0].rstrip()
        if not stripped or stripped.lstrip()[0] in "#;":
            continue
        if (found := _ANY_SECTION.match(stripped)) is not None:
            section, key = found[1].strip(), ""
            if section.startswith("program:"):
                sections.setdefault(section, {})
            continue
        if section not in sections:
            continue
        if stripped[0] in " \t" and key:  # the last value goes on
            text, place = sections[section][key]
            sections[section][key] = f"{text} {_expanded(stripped.strip())}", place
            continue
        name, equals, text = stripped.partition("=")
        key = name.strip() if equals else ""
        if key:
            sections[section][key] = _expanded(text.strip()), Place(file.name, number, key)
    yield from ((name.partition(":")[2].strip(), said) for name, said in sections.items())


def _expanded(text: str) -> str:
    """With supervisor's own expansions as what they are to others: variables, or filled in."""
    text = _FROM_ENVIRONMENT.sub(r"${\1}", text)
    return _EXPANSION.sub("${SUPERVISOR_EXPANSION}", text).replace("%%", "%")

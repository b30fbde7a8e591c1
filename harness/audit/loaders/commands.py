"""Command lines: which server or worker one starts, with how many processes and threads.

Words are found as a shell finds them, by `shlex`; nothing is executed. Where several commands
follow each other (``alembic upgrade head && exec gunicorn app``), the last that is known counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from harness.audit.loaders.serving import PROGRAMS, Start
from harness.audit.loaders.shell import Word as Word
from harness.audit.loaders.shell import assigned_by, base_name, commands_of
from harness.audit.loaders.shell import located as located
from harness.audit.loaders.shell import words_at as words_at
from harness.audit.reading import Runtime
from harness.audit.values import Place, Settings, replaced

_PYTHON = re.compile(r"(python|pypy)[\d.]*")

_ONCE = frozenset(
    {"migrate", "makemigrations", "collectstatic", "compilemessages", "createsuperuser", "check"}
    | {"loaddata", "flush", "createcachetable", "bootstrap"}
)
"""Commands of Django's ``manage.py`` that end by themselves."""


def runtime_of(
    words: Sequence[Word], place: Place, folder: str, environment: Settings | None = None
) -> Runtime | None:
    """How the program that ``words`` start is served; None where no known program is among them.

    ``environment`` is what is known of its variables. A value that a variable decides keeps it.
    """
    assigned = assigned_by(words)
    settings = {**(environment or {}), **assigned}
    for command in reversed(commands_of(words)):
        name, arguments = _program(command)
        if name in PROGRAMS:
            found = PROGRAMS[name](Start(name, tuple(arguments), place, folder, settings))
            return replaced(found, lambda value: value.resolved(assigned)) if assigned else found
    return None


def program_of(words: Sequence[Word]) -> tuple[str, tuple[Word, ...]]:
    """The last command's program, by its name without a path, and its arguments."""
    commands = commands_of(words)
    if not commands:
        return "", ()
    name, arguments = _program(commands[-1])
    return name, tuple(arguments)


_TASKS = frozenset({"alembic", "coverage", "nox", "pytest", "tox"})


def ends_by_itself(words: Sequence[Word]) -> bool:
    """Whether it is a task that is done once, such as a change of the schema."""
    commands = commands_of(words)
    if not commands:
        return False
    command = [word for word, _ in commands[-1]]
    program = base_name(command[0])
    if program in _TASKS or (program == "flask" and "db" in command[1:2]):
        return True
    managed = [
        number_ for number_, word in enumerate(command[:3]) if base_name(word) == "manage.py"
    ]
    return bool(managed) and bool(_ONCE & set(command[managed[0] + 1 : managed[0] + 2]))


def properties_of(words: Iterable[Word]) -> Settings:
    """Java's ``-Dspring.x=y`` and Spring's ``--spring.x=y``, as the variables they stand for.

    Spring reads ``SPRING_DATASOURCE_HIKARI_MAXIMUMPOOLSIZE`` as its property of that name: dots
    become underscores, and dashes go. Source:
    https://docs.spring.io/spring-boot/reference/features/external-config.html
    """
    found = {}
    for word, place in words:
        said = re.fullmatch(r"(?:-D|--)((?:spring|server)\.[\w.-]+)=(.*)", word, re.DOTALL)
        if said is not None:
            name = said[1].replace(".", "_").replace("-", "").upper()
            found[name] = said[2], Place(place.file, place.line, said[1])
    return found


def _program(command: Sequence[Word]) -> tuple[str, Sequence[Word]]:
    """Its name and arguments; of ``python -m gunicorn`` and ``python …/gunicorn``, gunicorn."""
    if not command:
        return "", ()
    name, rest = base_name(command[0][0]), list(command[1:])
    if _PYTHON.fullmatch(name) is None:
        return (name, rest) if name != "manage.py" else _managed(rest)
    while rest and rest[0][0].startswith("-") and rest[0][0] not in ("-m", "-c"):
        rest = rest[2:] if rest[0][0] in ("-X", "-W") else rest[1:]
    if rest and rest[0][0] == "-m":
        rest = rest[1:]
        package = rest[0][0].partition(".")[0] if rest else ""
        if package in PROGRAMS:  # gunicorn.app.wsgiapp
            return package, rest[1:]
    if rest and base_name(rest[0][0]) == "manage.py":
        return _managed(rest[1:])
    if rest and base_name(rest[0][0]) in PROGRAMS:
        return base_name(rest[0][0]), rest[1:]
    return "python", rest


def _managed(arguments: Sequence[Word]) -> tuple[str, Sequence[Word]]:
    serves = bool(arguments) and arguments[0][0].startswith("runserver")
    return ("runserver" if serves else "python"), arguments[1:]

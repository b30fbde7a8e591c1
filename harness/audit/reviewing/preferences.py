"""What a project says of its own audit: excludes, suppressions, the load to survive."""

from __future__ import annotations

import datetime
import os
import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pathspec import GitIgnoreSpec
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    StringConstraints,
    ValidationError,
)

from harness.audit.finding import Finding, Severity
from harness.audit.reviewing.fingerprints import relative_to
from harness.audit.reviewing.suppressions import Suppression, date, rule_ids
from harness.audit.values import Place
from harness.errors import AuditInputError, Problem

OWN_FILE = ".pooldrill-audit.toml"
PYPROJECT = "pyproject.toml"
SECTION = ("tool", "pooldrill", "audit")
EVERYWHERE = "**"

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


def _day(value: object) -> object:
    if isinstance(value, str):
        return date(value)
    if isinstance(value, datetime.datetime) or not isinstance(value, datetime.date):
        raise ValueError("the date cannot be read: write it as 2027-03-31")
    return value


def _patterns(value: tuple[str, ...]) -> tuple[str, ...]:
    GitIgnoreSpec.from_lines(value)  # raises ValueError for what is no pattern
    return value


Pattern = Annotated[Words, AfterValidator(lambda value: _patterns((value,))[0])]


class _Table(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=lambda name: name.replace("_", "-"),
    )


class Ignore(_Table):
    """``[[ignore]]``: a rule, where it says nothing, until when and why."""

    rule: Words
    until: Annotated[datetime.date, BeforeValidator(_day)]
    reason: Words
    path: Pattern = EVERYWHERE


class _File(_Table):
    exclude: Annotated[tuple[str, ...], AfterValidator(_patterns)] = ()
    include_tests: bool | None = None
    peak: str | None = None
    hold: str | None = None
    slo: str | None = None
    fail_on: Severity | None = None
    ignore: tuple[Ignore, ...] = ()


@dataclass(frozen=True, slots=True)
class Preferences:
    """As they stand in ``file``; what is None or empty is not said there."""

    file: str = ""
    excludes: Callable[[Path], bool] = lambda path: False
    include_tests: bool | None = None
    peak: str | None = None
    hold: str | None = None
    slo: str | None = None
    fail_on: Severity | None = None
    suppressions: tuple[Suppression, ...] = ()


def preferences_for(paths: Iterable[Path]) -> Path | None:
    """The file of preferences of what is audited, if there is one.

    It is looked for in the folder that all ``paths`` have in common, and, within a repository, in
    those above it up to the repository's own.
    """
    folder = _common(paths)
    above = (folder, *folder.parents)
    top = next((n for n, each in enumerate(above) if os.path.lexists(each / ".git")), 0)
    for each in above[: top + 1]:
        if os.path.isfile(each / OWN_FILE):
            return each / OWN_FILE
        if os.path.isfile(each / PYPROJECT) and _has_section(each / PYPROJECT):
            return each / PYPROJECT
    return None


def read_preferences(file: Path, folder: Path, known: Collection[str]) -> Preferences:
    """What ``file`` says; its patterns are of paths from ``folder`` on.

    ``known`` are the ids of the rules. Raises `AuditInputError` with all of its problems.
    """
    name = os.path.relpath(file)
    try:
        text = file.read_text("utf-8")
        table = _section(tomllib.loads(text), file)
    except OSError as error:
        raise AuditInputError([Problem(f"cannot be read: {error.strerror}", name)]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise AuditInputError([Problem(f"not TOML: {error}", name)]) from None
    try:
        said = _File.model_validate(table)
    except ValidationError as error:
        raise AuditInputError(
            [
                _problem(name, text, each["loc"], each["type"], each["msg"])
                for each in error.errors()
            ]
        ) from None
    named = relative_to(folder)
    suppressions, problems = [], []
    for number, ignore in enumerate(said.ignore):
        place = Place(name, _line(text, ("ignore", number, "rule")))
        try:
            rules = rule_ids([ignore.rule], known)
        except ValueError as error:
            problems.append(Problem(str(error), name, place.line, "ignore.rule"))
            continue
        reaches = _within(GitIgnoreSpec.from_lines([ignore.path]), named)
        suppressions.append(Suppression(rules, ignore.until, ignore.reason, place, False, reaches))
    if problems:
        raise AuditInputError(problems)
    excluded = GitIgnoreSpec.from_lines(said.exclude)
    return Preferences(
        file=name,
        excludes=lambda path: excluded.match_file(named(str(path))),
        include_tests=said.include_tests,
        peak=said.peak,
        hold=said.hold,
        slo=said.slo,
        fail_on=said.fail_on,
        suppressions=tuple(suppressions),
    )


def _common(paths: Iterable[Path]) -> Path:
    # A folder that may not be looked into is no error here: the audit itself says so.
    folders = [path if os.path.isdir(path) else path.parent for path in paths]
    return Path(os.path.commonpath([os.path.realpath(folder) for folder in folders]))


def _has_section(file: Path) -> bool:
    """A file that is no TOML is somebody else's to complain about."""
    try:
        return bool(_section(tomllib.loads(file.read_text("utf-8")), file))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        return False


def _section(table: Mapping[str, Any], file: Path) -> Mapping[str, Any]:
    if file.name != PYPROJECT:
        return table
    for part in SECTION:
        inner = table.get(part, {})
        table = inner if isinstance(inner, dict) else {}
    return table


def _within(spec: GitIgnoreSpec, named: Callable[[str], str]) -> Callable[[Finding], bool]:
    return lambda finding: spec.match_file(named(finding.place.file))


def _problem(name: str, text: str, at: tuple[int | str, ...], kind: str, said: str) -> Problem:
    field = ".".join(str(part) for part in at if isinstance(part, str))
    message = {
        "missing": "is missing: every suppression has a rule, a reason and a last day",
        "extra_forbidden": "is not known here",
        "string_too_short": "is empty",
    }.get(kind, said.removeprefix("Value error, "))
    return Problem(message, name, _line(text, at) or None, field)


def _line(text: str, at: tuple[int | str, ...]) -> int:
    """The line that a field stands on, else the one of its table; 0 where it cannot be told."""
    lines = text.splitlines()
    begin, end = 0, len(lines)
    header = re.compile(rf"\s*\[\[\s*(?:[\w.]+\.)?{re.escape(str(at[0]))}\s*\]\]")
    tables = [number for number, line in enumerate(lines) if header.match(line)]
    if len(at) > 1 and isinstance(at[1], int) and at[1] < len(tables):
        begin = tables[at[1]]
        end = next(
            (n for n in range(begin + 1, len(lines)) if lines[n].lstrip().startswith("[")), end
        )
    for word in (str(at[-1]), str(at[0])):
        setting = re.compile(rf"\s*['\"]?{re.escape(word)}['\"]?\s*=")
        for number in range(begin, end):
            if setting.match(lines[number]):
                return number + 1
    return begin + 1 if begin or tables[:1] == [0] else 0

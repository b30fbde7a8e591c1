"""Dependencies of Python programs: what is asked for, and what a lock file has.

Sources: https://packaging.python.org/en/latest/specifications/ (dependency specifiers,
``pyproject.toml``, dependency groups, ``pylock.toml``),
https://pip.pypa.io/en/stable/reference/requirements-file-format/ and
https://python-poetry.org/docs/dependency-specification/
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from harness.audit.finding import Unread
from harness.audit.parts import Package
from harness.audit.reading import Reading
from harness.audit.sources import SourceFile
from harness.audit.values import Place, Value

CONCERNED = frozenset(
    {
        "psycopg-pool",
        "psycopg",
        "psycopg2",
        "psycopg2-binary",
        "asyncpg",
        "sqlalchemy",
        "sqlmodel",
        "flask-sqlalchemy",
        "django",
        "fastapi",
        "starlette",
        "anyio",
        "gunicorn",
        "uvicorn",
        "celery",
    }
)
"""Packages whose version may matter to a pool."""

_REQUIREMENTS = re.compile(r"(?:.*requirements.*|constraints.*)\.(?:txt|in)", re.IGNORECASE)
_TOML = frozenset({"pyproject.toml", "poetry.lock", "uv.lock", "pdm.lock", "pylock.toml"})
_JSON = frozenset({"Pipfile.lock"})
_MANIFESTS = frozenset({"pyproject.toml"})

Found = tuple[str, str | None, str | None]
"""A package's name, its specifier and its locked version."""


def recognises(file: SourceFile) -> bool:
    """By its name; ``requirements/base.txt``, too."""
    name, folder = file.path.name, file.path.parent.name
    if name in _TOML | _JSON or re.fullmatch(r"pylock\.[\w-]+\.toml", name):
        return True
    in_folder = folder == "requirements" and file.path.suffix in (".txt", ".in")
    return in_folder or _REQUIREMENTS.fullmatch(name) is not None


def load(file: SourceFile) -> Reading:
    """The packages that matter; what another file that is named here has, that file says."""
    name = file.path.name
    try:
        if name in _JSON:
            return Reading(packages=tuple(_placed(file, _pipfile(json.loads(file.text)), name)))
        if file.path.suffix in (".toml", ".lock"):
            data = tomllib.loads(file.text)
            found = _manifest(data) if name in _MANIFESTS else _locked(data)
            return Reading(packages=tuple(_placed(file, found, name)))
    except (ValueError, RecursionError) as error:
        # The parsers' messages repeat the text.
        line = getattr(error, "lineno", 0)
        kind = "JSON" if name in _JSON else "TOML"
        return Reading(unread=(Unread(file.name, f"not valid {kind}", line),))
    return Reading(packages=tuple(_requirements(file)))


def _requirements(file: SourceFile) -> Iterator[Package]:
    """A requirement a line; options, URLs and paths are passed over."""
    joined, first = "", 0
    for number, line in enumerate(file.lines, 1):
        text = re.sub(r"(^|\s)#.*", "", line)
        first = first or number
        if text.endswith("\\"):
            joined += text[:-1] + " "
            continue
        joined, whole, at = "", joined + text, first
        first = 0
        whole = whole.partition(" --")[0].strip()  # hashes, for instance
        if not whole or whole.startswith("-") or (found := _requirement(whole)) is None:
            continue
        yield from _package(file, found, at)


def _requirement(text: str) -> Found | None:
    try:
        said = Requirement(text)
    except InvalidRequirement:
        return None
    return said.name, str(said.specifier), _pinned(said.specifier)


def _pinned(specifiers: SpecifierSet) -> str | None:
    """The one version that ``==1.2.3`` allows."""
    exact = [each.version for each in specifiers if each.operator in ("==", "===")]
    return exact[0] if len(exact) == 1 and "*" not in exact[0] else None


def _package(file: SourceFile, found: Found, line: int) -> Iterator[Package]:
    name, specifier, version = found
    name = canonicalize_name(name)
    if name not in CONCERNED:
        return
    place = Place(file.name, line, name)
    try:
        locked = None if version is None else str(Version(version))
    except InvalidVersion:
        locked = None
    yield Package(
        name=name,
        place=place,
        specifier=Value.unknown("it is locked, not asked for", place)
        if specifier is None
        else Value.at(specifier, place),
        version=Value.unknown("nothing here locks its version", place)
        if locked is None
        else Value.at(locked, place),
    )


def _placed(file: SourceFile, found: Iterator[Found], name: str) -> Iterator[Package]:
    """With the lines on which the packages stand."""
    lines = file.lines
    for each in found:
        canonical = canonicalize_name(each[0])
        if canonical in CONCERNED:
            yield from _package(file, each, _line(lines, canonical, name))


def _line(lines: list[str], package: str, name: str) -> int:
    """The line of a package: its version's in a lock file, its own elsewhere; 0 for none."""
    spelled = re.escape(package).replace(r"\-", "[-_.]")
    named = re.compile(rf"(?:^|[\s\"'\[,]){spelled}(?![\w.-]*[\w-]*\w)", re.IGNORECASE)
    if name not in _MANIFESTS | _JSON:
        named = re.compile(rf"""^name\s*=\s*["']{spelled}["']""", re.IGNORECASE)
    for number, line in enumerate(lines, 1):
        if not named.search(line) or line.lstrip().startswith("#"):
            continue
        if name in _MANIFESTS:
            return number
        for later in range(number, min(number + 12, len(lines))):
            if re.match(r"""\s*"?version"?\s*[=:]""", lines[later]):
                return later + 1
        return number
    return 0


def _locked(data: Mapping[str, Any]) -> Iterator[Found]:
    """``poetry.lock``, ``uv.lock`` and ``pdm.lock`` (``[[package]]``), ``pylock.toml``."""
    packages = data.get("package", data.get("packages"))
    for each in packages if isinstance(packages, list) else ():
        if isinstance(each, dict) and isinstance(each.get("name"), str):
            version = each.get("version")
            yield each["name"], None, version if isinstance(version, str) else None


def _pipfile(data: object) -> Iterator[Found]:
    for section in ("default", "develop"):
        packages = data.get(section) if isinstance(data, dict) else None
        for name, each in packages.items() if isinstance(packages, dict) else ():
            version = each.get("version") if isinstance(each, dict) else None
            if isinstance(version, str):
                yield name, None, version.removeprefix("==")


def _manifest(data: Mapping[str, Any]) -> Iterator[Found]:
    """``[project]``, ``[dependency-groups]`` and poetry's own tables."""
    project = _table(data, "project")
    groups = [
        project.get("dependencies"),
        *_table(project, "optional-dependencies").values(),
        *_table(data, "dependency-groups").values(),
        *_table(data, "tool", "pdm", "dev-dependencies").values(),
        _table(data, "tool", "uv").get("dev-dependencies"),
    ]
    for group in groups:
        for text in group if isinstance(group, list) else ():
            found = _requirement(text) if isinstance(text, str) else None
            if found is not None:
                yield found
    poetry = _table(data, "tool", "poetry")
    tables = [poetry.get("dependencies"), poetry.get("dev-dependencies")]
    tables += [_table(group).get("dependencies") for group in _table(poetry, "group").values()]
    for table in tables:
        for name, said in _table(table).items():
            text = said.get("version") if isinstance(said, dict) else said
            specifiers = _of_poetry(text) if isinstance(text, str) else None
            if specifiers is not None:
                yield name, str(specifiers), _pinned(specifiers)


def _table(data: object, *keys: str) -> Mapping[str, Any]:
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data if isinstance(data, dict) else {}


def _of_poetry(text: str) -> SpecifierSet | None:
    """Poetry's constraint as a specifier; None for what is none, or has alternatives."""
    parts = []
    for part in text.split(","):
        part = part.strip()
        if part[:1] in ("^", "~") and not part.startswith("~="):
            try:
                least = Version(part[1:].strip())
            except InvalidVersion:
                return None
            parts += [f">={least}", f"<{_next(least.release, part[0])}"]
        elif part and part != "*":
            parts.append(f"=={part}" if part[0].isdigit() else part)
    try:
        return SpecifierSet(",".join(parts))
    except InvalidSpecifier:
        return None


def _next(release: tuple[int, ...], operator: str) -> str:
    """The first version that ``^`` (the leftmost number that is not 0) or ``~`` keeps out."""
    at = 0
    if operator == "~":
        at = min(1, len(release) - 1)
    else:
        at = next((n for n, part in enumerate(release) if part), len(release) - 1)
    return ".".join(map(str, (*release[:at], release[at] + 1)))

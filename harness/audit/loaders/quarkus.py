"""Quarkus' application files: its data sources, each with a pool of Agroal's.

What is said for all holds unless ``%prod.`` says something else; other profiles are passed over.
Source: https://quarkus.io/guides/datasource and https://quarkus.io/guides/config-reference
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from javaproperties import InvalidUEscapeError, KeyValue
from javaproperties import parse as parse_properties

from harness.audit.finding import Unread
from harness.audit.loaders.agroal import pool_of
from harness.audit.parts import Pool
from harness.audit.reading import Code, Reading, Runtime, read_at
from harness.audit.sources import SourceFile
from harness.audit.values import Place, Settings, Value, Variable
from harness.audit.yamls import Item, NotReadable, documents

_NAME = re.compile(r"application\.(properties|ya?ml)")
_SOURCE = re.compile(
    r"(quarkus\.datasource(?:\.(?:\"[\w-]+\"|(?!jdbc\b|reactive\b)[\w]+))?)\.jdbc\."
)
_SAFE = re.compile(r"(?:otel:|tracing:)?jdbc:(?:otel:|tracing:)?postgresql:", re.IGNORECASE)
_PROD = "%prod."


def recognises(file: SourceFile) -> bool:
    """By its name and a data source in it; not that of tests."""
    if _NAME.fullmatch(file.path.name) is None or "src/test/" in file.path.as_posix():
        return False
    return "quarkus" in file.text and "datasource" in file.text


def load(file: SourceFile) -> Reading:
    """A pool for each data source that is PostgreSQL's, or may be."""
    try:
        settings = _of_production(_said(file))
    except NotReadable as error:
        return Reading(unread=(Unread(file.name, str(error), error.line),))
    place = Place(file.name)
    pools = tuple(_pools(settings, place))
    if not pools:
        return Reading()
    folder = _folder(file)
    program, _ = settings.get("quarkus.application.name", ("", place))
    code = Code(place=place, folder=folder, program=program.strip(), pools=pools)
    one = Value.default(1, "the JVM", place)
    return Reading(codes=(code,), runtimes=(Runtime(place=place, folder=folder, processes=one),))


def _said(file: SourceFile) -> Settings:
    """Flat, by their names. Raises `NotReadable`."""
    if file.path.suffix != ".properties":
        found: dict[str, tuple[str, Place]] = {}
        for document in documents(file.text):
            found.update(_flat(file, document, ""))
        return found
    settings: dict[str, tuple[str, Place]] = {}
    line = 1
    try:
        for element in parse_properties(file.text):
            if isinstance(element, KeyValue):
                settings[element.key] = element.value, Place(file.name, line, element.key)
            line += element.source.count("\n") or element.source.count("\r")
    except InvalidUEscapeError:
        raise NotReadable("not a properties file: an escape is not valid", line) from None
    return settings


def _flat(file: SourceFile, item: Item, path: str) -> Iterator[tuple[str, tuple[str, Place]]]:
    for key, inner in (item.fields or {}).items():
        name = f"{path}.{key}" if path else key
        if inner.text is not None:
            yield name.removesuffix(".~"), (inner.text, Place(file.name, inner.line, name))
        else:
            yield from _flat(file, inner, name)


def _of_production(settings: Settings) -> Settings:
    plain = {key: said for key, said in settings.items() if not key.startswith("%")}
    own = {key[len(_PROD) :]: said for key, said in settings.items() if key.startswith(_PROD)}
    return {**plain, **own}


def _folder(file: SourceFile) -> str:
    """The module's root: the folder above ``src``, else where the file stands."""
    folder = Path(file.name).parent
    if "src" in folder.parts:
        above = folder.parts[: len(folder.parts) - 1 - folder.parts[::-1].index("src")]
        return str(Path(*above))
    return str(folder.parent if folder.name == "config" else folder)


def _pools(settings: Settings, file: Place) -> Iterator[Pool]:
    sources = dict.fromkeys(
        found[1] for key in settings if (found := _SOURCE.match(key)) is not None
    )
    for source in sources:
        kind, _ = settings.get(f"{source}.db-kind", ("postgresql", file))
        url = _url(settings, source, file)
        if kind.strip().lower() not in ("postgresql", "pgsql", "pg", ""):
            continue
        if url.known is not None and not url.known.startswith("jdbc:postgresql"):
            continue
        yield _pool(settings, source, url, file)


def _pool(settings: Settings, source: str, url: Value[str], file: Place) -> Pool:
    of_pool = f"{source}.jdbc."
    own = {key: said for key, said in settings.items() if key.startswith(of_pool)}
    return pool_of(
        source,
        {key.removeprefix(of_pool): said for key, said in own.items()},
        url,
        min((at for _, at in own.values()), key=lambda at: at.line, default=file),
        size=Value.unknown("max-size is not said, and its default changed", file),
        variable=lambda key: _variable(of_pool + key),
    )


def _url(settings: Settings, source: str, file: Place) -> Value[str]:
    """As it is written; what another program traces is that driver's as well."""
    key = f"{source}.jdbc.url"
    variable = Variable(_variable(key), _plain, partial=True)
    if key not in settings:
        return Value.unknown("the database URL is not said", file, variable)
    text, place = settings[key]
    if _SAFE.match(text.strip()) is None:
        if text.strip().startswith("jdbc:"):
            return Value.at("jdbc:", place)
        return read_at(text, place, "url", _plain, partial=True)
    value = Value.at(_plain(text), place)
    return value if "${" in text else value.decided_by(variable)


def _plain(text: str) -> str:
    """Without what traces its statements."""
    return re.sub(r"(?:otel|tracing):", "", text.strip(), count=1)


def _variable(key: str) -> str:
    """``QUARKUS_DATASOURCE_JDBC_MAX_SIZE``, as MicroProfile spells it."""
    return re.sub(r"[^A-Za-z0-9]", "_", key).upper()

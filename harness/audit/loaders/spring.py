"""Spring Boot's application files: its DataSource, HikariCP's pool, and the threads before it.

``application.yml`` and its siblings are one program's, and are read together: properties hold over
YAML, and a profile called ``prod`` or ``production`` over what is said for all, because it is what
runs. Other profiles (``dev``, ``test``) are variants that are passed over, as is ``src/test``.
Names are relaxed: ``maximum-pool-size``, ``maximumPoolSize`` and ``maximum_pool_size`` are one.

Defaults: https://github.com/brettwooldridge/HikariCP#gear-configuration-knobs-baby,
https://docs.spring.io/spring-boot/appendix/application-properties/index.html and
https://jdbc.postgresql.org/documentation/use/
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from javaproperties import InvalidUEscapeError, KeyValue
from javaproperties import parse as parse_properties

from harness.audit.finding import Unread
from harness.audit.loaders.database_urls import parameter_of, target_from
from harness.audit.parts import Pool, Target
from harness.audit.reading import Code, Reading, Runtime, number, read_at, zero_is_unlimited
from harness.audit.sources import SourceFile, read
from harness.audit.values import Place, Settings, Value, Variable
from harness.audit.yamls import Item, NotReadable, documents

T = TypeVar("T")

HIKARI, TOMCAT, PGJDBC = "HikariCP", "Tomcat", "PostgreSQL's JDBC driver"
PROFILES = ("production", "prod")
"""Of profiles, those that are what runs."""

_ASIDE = re.compile(r"dev|devel|development|test|tests|it|integration|e2e|ci|local|default")
"""Profiles of those that never run for anybody."""

_NAME = re.compile(r"application(?:-([\w-]+))?\.(properties|yml|yaml)")
_SECTION = re.compile(r"\b(?:on-?profile|profiles)[ \t]*[:=][ \t]*[\"']?([\w-]+)", re.IGNORECASE)
"""A document, or a part of a properties file, for one profile."""

_OF_A_BASE = ("application.properties", "application.yml", "application.yaml")
_POOL = "spring.datasource"
_SAFE = re.compile(r"jdbc:postgresql:", re.IGNORECASE)


def recognises(file: SourceFile) -> bool:
    """By its name, and settings of Spring's that matter here."""
    if _NAME.fullmatch(file.path.name) is None:
        return False
    return "spring" in file.text and ("datasource" in file.text or "hikari" in file.text.lower())


def load(file: SourceFile) -> Reading:
    """The pools of the program, where this file is the first of its family."""
    profile = (_NAME.fullmatch(file.path.name) or [None, None])[1]
    if "src/test/" in file.path.as_posix() or _ASIDE.fullmatch(profile or ""):
        return Reading()
    first, *others = _family(file)
    if first.path != file.path:
        return Reading()  # what it says is part of what the first one says
    settings: dict[str, tuple[str, Place]] = {}
    unread = []
    for member in (first, *others):
        try:
            settings.update(_settings(member))
        except NotReadable as error:
            unread.append(Unread(member.name, str(error), error.line))
    folder = _folder(file)
    pools = tuple(_pools(settings, Place(file.name)))
    if not pools:
        return Reading(unread=tuple(unread))
    place = Place(file.name)
    program, _ = settings.get("spring.application.name", ("", place))
    one = Value.default(1, "the JVM", place)
    return Reading(
        codes=(
            Code(
                place=place,
                folder=folder,
                program=program.strip(),
                pools=pools,
                profiles=_profiles(file, (first, *others)),
            ),
        ),
        runtimes=(Runtime(place=place, folder=folder, processes=one),),
        unread=tuple(unread),
    )


def _family(file: SourceFile) -> list[SourceFile]:
    """Files of one program, in the order in which the later holds; ``file`` is among them.

    The first is the one that speaks for all of them.
    """
    wanted = [*reversed(_OF_A_BASE)]
    wanted += [
        base.replace("application", f"application-{profile}")
        for profile in PROFILES
        for base in reversed(_OF_A_BASE)
    ]
    found = []
    for name in wanted:
        path = file.path.with_name(name)
        if path == file.path:
            found.append(file)
        elif path.is_file():
            sibling = read(path, str(Path(file.name).with_name(name)))
            if isinstance(sibling, SourceFile) and recognises(sibling):
                found.append(sibling)
    # A profile that is passed over stands alone where there is nothing else.
    return found or [file]


def _profiles(file: SourceFile, family: Sequence[SourceFile]) -> tuple[str, ...]:
    """All profiles that the program has something for, those that were passed over as well."""
    beside = [_NAME.fullmatch(each.name) for each in file.path.parent.glob("application-*")]
    members = [_NAME.fullmatch(each.path.name) for each in family]
    names = {found[1] for found in (*beside, *members) if found is not None and found[1]}
    names |= {name for each in family for name in _SECTION.findall(each.text)}
    return tuple(sorted(names))


def _folder(file: SourceFile) -> str:
    """The module's root: the folder above ``src``, else where the file stands."""
    folder = Path(file.name).parent
    parts = folder.parts
    if "src" in parts:
        return str(Path(*parts[: len(parts) - 1 - parts[::-1].index("src")]))
    return str(folder.parent if folder.name == "config" else folder)


def _settings(file: SourceFile) -> Settings:
    """Flat, by relaxed names. Raises `NotReadable`."""
    if file.path.suffix == ".properties":
        return _properties(file)
    settings: dict[str, tuple[str, Place]] = {}
    for document in documents(file.text):
        said = dict(_flat(file, document, ""))
        profile = said.get("spring.config.activate.onprofile") or said.get("spring.profiles")
        if profile is None or profile[0].strip() in PROFILES:
            settings.update(said)
    return settings


def _properties(file: SourceFile) -> Settings:
    settings: dict[str, tuple[str, Place]] = {}
    line = 1
    section: dict[str, tuple[str, Place]] = {}
    try:
        for element in parse_properties(file.text):
            if isinstance(element, KeyValue):
                place = Place(file.name, line, element.key)
                section[_relaxed(element.key)] = element.value, place
            elif element.source.strip() in ("#---", "!---"):
                _add(settings, section)
                section = {}
            line += element.source.count("\n") or element.source.count("\r")
    except InvalidUEscapeError:
        raise NotReadable("not a properties file: an escape is not valid", line) from None
    _add(settings, section)
    return settings


def _add(settings: dict[str, tuple[str, Place]], section: Settings) -> None:
    profile = section.get("spring.config.activate.onprofile")
    if profile is None or profile[0].strip() in PROFILES:
        settings.update(section)


def _flat(file: SourceFile, item: Item, path: str) -> Iterator[tuple[str, tuple[str, Place]]]:
    for key, inner in (item.fields or {}).items():
        name = f"{path}.{key}" if path else key
        if inner.text is not None:
            yield _relaxed(name), (inner.text, Place(file.name, inner.line, name))
        else:
            yield from _flat(file, inner, name)


def _relaxed(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def _pools(settings: Settings, place: Place) -> Iterator[Pool]:
    """A pool for ``spring.datasource``, and for each further one with settings of HikariCP's."""
    prefixes = dict.fromkeys(key.partition(".hikari.")[0] for key in settings if ".hikari." in key)
    if any(key in settings for key in (f"{_POOL}.url", f"{_POOL}.jdbcurl")):
        prefixes.setdefault(_POOL)
    for prefix in prefixes:
        of = _Of(settings, prefix, place)
        url = of.url()
        if url.known is None or _SAFE.match(url.known):
            yield _pool(of, url, settings, place)
            continue
        # Another database's, unless the deployment says otherwise.
        variable = _variable(f"{prefix}.url", str)
        elsewhere: Value[str] = Value.unknown(
            "the database URL is said elsewhere", of.place, variable
        )
        decides = _variable(f"{prefix}.url", lambda text: _SAFE.match(text) is not None)
        given = Value.at(False, of.place).decided_by(replace(decides, partial=True))
        yield replace(_pool(of, elsewhere, settings, place), is_postgresql=given)


def _pool(of: _Of, url: Value[str], settings: Settings, place: Place) -> Pool:
    size = of.number("maximum-pool-size", 10.0)
    here = of.place
    target = target_from(url, here) if url.is_known or url.variable else Target()
    user = of.text("username")
    return Pool(
        name=of.prefix,
        place=here,
        implementation="hikari",
        size=size,
        max_overflow=Value.default(0.0, HIKARI, here),
        min_size=of.number("minimum-idle", None) if of.says("minimum-idle") else size,
        max_waiting=Value.default(math.inf, HIKARI, here),
        timeout_s=of.number("connection-timeout", 30_000.0, unlimited=True).map(_seconds),
        recycle_s=of.number("max-lifetime", 1_800_000.0, unlimited=True).map(_seconds),
        pre_ping=Value.default(True, HIKARI, here),
        connect_timeout_s=parameter_of(
            url, "connectTimeout", zero_is_unlimited, Value.default(10.0, PGJDBC, here), here
        ),
        threads=_threads(settings, place),
        target=replace(target, user=user.or_else(target.user)),
        is_async=Value.default(False, HIKARI, here),
        prepared_statements=parameter_of(
            url,
            "prepareThreshold",
            lambda text: int(text) != 0,
            Value.default(True, PGJDBC, here),
            here,
        ),
    )


def _seconds(milliseconds: float) -> float:
    return milliseconds / 1000


def _threads(settings: Settings, place: Place) -> Value[float]:
    """Tomcat's, unless the application says that it has another server, or none."""
    kind = settings.get("spring.main.webapplicationtype")
    if kind is not None and kind[0].strip().lower() != "servlet":
        return Value.unknown("it is no servlet application", kind[1])
    virtual = settings.get("spring.threads.virtual.enabled")
    if virtual is not None and virtual[0].strip().lower() != "false":
        return Value.unknown("virtual threads have no limit", virtual[1])
    for key in (
        "server.tomcat.threads.max",
        "server.tomcat.maxthreads",
        "server.jetty.threads.max",
        "server.undertow.threads.worker",
    ):
        if key in settings:
            text, at = settings[key]
            return read_at(text, at, at.key, number)
    default = Value.default(200.0, TOMCAT, place)
    return default.decided_by(_variable("server.tomcat.threads.max", number))


class _Of:
    """Settings below one prefix, each decided by its environment variable as well."""

    def __init__(self, settings: Settings, prefix: str, file: Place) -> None:
        self._settings: Mapping[str, tuple[str, Place]] = settings
        self.prefix = prefix
        own = [at for key, (_, at) in settings.items() if key.startswith(f"{prefix}.")]
        self.place = min(own, key=lambda at: (at.file != file.file, at.line), default=file)

    def says(self, name: str) -> bool:
        """Whether the pool's setting of this name is written down."""
        return self._key(name) in self._settings

    def number(self, name: str, default: float | None, *, unlimited: bool = False) -> Value[float]:
        """A setting of the pool's own; 0 is no limit where it is ``unlimited``."""
        parse = zero_is_unlimited if unlimited else number
        variable = _variable(f"{self.prefix}.hikari.{name}", parse)
        key = self._key(name)
        if key in self._settings:
            text, place = self._settings[key]
            value = read_at(text, place, place.key, parse)
            return value if value.variable else value.decided_by(variable)
        if default is None:
            return Value.unknown(f"{name} is not said", self.place)
        return Value.default(default, HIKARI, self.place).decided_by(variable)

    def text(self, *names: str) -> Value[str]:
        """A setting of the data source, in either of its places."""
        for name in names:
            for key in (f"{self.prefix}.{_relaxed(name)}", self._key(name)):
                if key in self._settings:
                    text, place = self._settings[key]
                    return read_at(text, place, place.key, str)
        return Value.unknown(f"{names[0]} is not said", self.place)

    def url(self) -> Value[str]:
        """As it is written, with the placeholders that are a part of it."""
        variable = _variable(f"{self.prefix}.url", str)
        for key in (
            f"{self.prefix}.url",
            f"{self.prefix}.jdbcurl",
            f"{self.prefix}.hikari.jdbcurl",
        ):
            if key in self._settings:
                text, place = self._settings[key]
                if _SAFE.match(text.strip()):
                    value = Value.at(text.strip(), place)
                    return value if "${" in text else value.decided_by(variable)
                if text.strip().startswith("jdbc:"):
                    return Value.at("jdbc:", place)
                return read_at(text, place, "url", str)
        return Value.unknown("the database URL is not said", self.place, variable)

    def _key(self, name: str) -> str:
        return f"{self.prefix}.hikari.{_relaxed(name)}"


def _variable(name: str, read: Callable[[str], T]) -> Variable[T]:
    """The environment variable that holds over a setting: without dashes, or with ``_`` for them.

    https://docs.spring.io/spring-boot/reference/features/external-config.html
    """
    official = name.replace(".", "_").replace("-", "").upper()
    spelled = re.sub(r"[.-]", "_", name).upper()
    return Variable(official, read, aliases=(spelled,) if spelled != official else ())

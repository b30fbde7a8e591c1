"""HAProxy's configuration, read line by line: sections, their timeouts and their servers.

There is no parser for it on PyPI that is kept up (pyhaproxy's last release is of 2019). What is
needed of the format is small: a section is a line with one of five words, and everything else
belongs to the section above it. Quoting and escapes are a shell's.

Defaults and inheritance: https://docs.haproxy.org/3.2/configuration.html (2.4 time format, 4.1
defaults sections, 4.2 mode, retries, retry-on, timeout client/server/tunnel).
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from harness.audit.loaders.upstreams import address, leads_to_a_database, port_of
from harness.audit.parts import Gateway, Proxy
from harness.audit.reading import Reading, read_at
from harness.audit.sources import SourceFile
from harness.audit.values import Place, Value

HAPROXY = "HAProxy"
RETRIES = 3
_SECTION = re.compile(r"^(global|defaults|frontend|backend|listen)\b", re.MULTILINE)
_LINE = re.compile(
    r"^\s+(timeout\s+(client|server|connect)|server|bind|default_backend)\s", re.MULTILINE
)
_WORDS = frozenset({"global", "defaults", "frontend", "backend", "listen"})
_OTHERS = frozenset(
    {"peers", "resolvers", "userlist", "mailers", "program", "cache", "ring", "http-errors",
     "log-forward", "fcgi-app", "crt-store", "traces", "log-profile", "acme"}
)  # fmt: skip
_UNITS_S = {"us": 1e-6, "": 0.001, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_REPEATS_WORK = frozenset(
    {"all-retryable-errors", "response-timeout", "empty-response", "500", "502", "503", "504"}
)
"""Reasons for another try at which the first may have reached the application."""


@dataclass(frozen=True, slots=True)
class _Section:
    """A section: its settings by their keyword (``timeout server``), each with its line."""

    kind: str
    name: str
    line: int
    above: str = ""
    """The ``defaults`` that it is ``from``; "" for those that stand above it."""

    said: dict[str, tuple[tuple[str, ...], int]] = field(default_factory=dict)
    servers: list[str] = field(default_factory=list)
    binds: list[str] = field(default_factory=list)
    uses: list[str] = field(default_factory=list)
    """Backends that a frontend sends to."""


def recognises(file: SourceFile) -> bool:
    """By its sections, and a line that only HAProxy has."""
    if file.path.suffix not in (".cfg", ".conf", ".template", ".tmpl", ".tpl", ".j2", ""):
        return False
    text = file.text
    if "timeout" not in text and "server" not in text:
        return False
    return _SECTION.search(text) is not None and _LINE.search(text) is not None


def load(file: SourceFile) -> Reading:
    """A gateway for each backend in HTTP mode, and a proxy for each that leads to a database."""
    sections = list(_inherited(_sections(file.text)))
    fronts = [each for each in sections if each.kind == "frontend"]
    gateways, proxies = [], []
    for section in sections:
        if section.kind not in ("backend", "listen") or not section.servers:
            continue
        before = [each for each in fronts if section.name in each.uses] or [section]
        if _word(section, "mode") == "http":
            gateways.append(_gateway(file, section))
        elif _is_a_databases(section, before):
            proxies.append(_proxy(file, section, before))
    return Reading(gateways=tuple(gateways), proxies=tuple(proxies))


def _gateway(file: SourceFile, section: _Section) -> Gateway:
    place = Place(file.name, section.line, section.name)
    return Gateway(
        name=f"HAProxy ({section.kind} {section.name})",
        place=place,
        timeout_s=_time(file, section, "timeout server"),
        attempts=_attempts(file, section),
        retry_budget=Value.default(math.inf, HAPROXY, place),
        upstreams=_hosts(section),
    )


def _attempts(file: SourceFile, section: _Section) -> Value[int]:
    """``retries`` and one; by default a request that reached a server is not sent again."""
    place = Place(file.name, section.line, section.name)
    when, _ = section.said.get("retry-on", ((), 0))
    if not set(when) & _REPEATS_WORK:
        return Value.default(1, HAPROXY, place)
    arguments, line = section.said.get("retries", ((), 0))
    if not arguments:
        return Value.default(RETRIES + 1, HAPROXY, place)
    there = Place(file.name, line, "retries")
    return read_at(arguments[0], there, "retries", int).map(lambda retries: retries + 1)


def _is_a_databases(section: _Section, before: list[_Section]) -> bool:
    ends = [found for server in section.servers if (found := address(server))]
    ports = [port for _, port in ends] + [port_of(bind) for f in before for bind in f.binds]
    names = [section.name, *(each.name for each in before), *(host for host, _ in ends)]
    return "option pgsql-check" in section.said or leads_to_a_database(names, ports)


def _proxy(file: SourceFile, section: _Section, before: list[_Section]) -> Proxy:
    """``timeout tunnel`` where it is said, else the shorter of both sides'."""
    if "timeout tunnel" in section.said:
        idle = _time(file, section, "timeout tunnel")
    else:
        sides = [_time(file, section, "timeout server")]
        sides += [_time(file, each, "timeout client") for each in before]
        unknown = next((each for each in sides if not each.is_known), None)
        idle = unknown or min(sides, key=lambda each: each.known or 0.0)
    return Proxy(
        name=f"HAProxy ({section.kind} {section.name})",
        place=Place(file.name, section.line, section.name),
        idle_timeout_s=idle,
        upstreams=_hosts(section),
    )


def _hosts(section: _Section) -> tuple[str, ...]:
    found = (address(server) for server in section.servers)
    return tuple(dict.fromkeys(each[0] for each in found if each))


def _time(file: SourceFile, section: _Section, key: str) -> Value[float]:
    """A timeout; one that is not said is none."""
    arguments, line = section.said.get(key, ((), 0))
    if not arguments:
        place = Place(file.name, section.line, section.name)
        return Value.default(math.inf, HAPROXY, place)
    return read_at(arguments[0], Place(file.name, line, key), key, _seconds)


def _seconds(text: str) -> float:
    """HAProxy's spelling of a time, in ms where it has no unit; 0 is none. Raises `ValueError`."""
    found = re.fullmatch(r"(\d+)(us|ms|s|m|h|d|)", text)
    if found is None:
        raise ValueError(text)
    return int(found[1]) * _UNITS_S[found[2]] or math.inf


def _word(section: _Section, key: str) -> str:
    arguments, _ = section.said.get(key, ((), 0))
    return arguments[0] if arguments else ""


def _sections(text: str) -> Iterator[_Section]:
    section: _Section | None = None
    for number, line in enumerate(text.splitlines(), 1):
        words = _split(line)
        if not words:
            continue
        if words[0] in _WORDS:
            if section is not None:
                yield section
            above = words[words.index("from") + 1] if "from" in words[1:-1] else ""
            name = words[1] if len(words) > 1 and words[1] != "from" else ""
            section = _Section(words[0], name, number, above)
        elif words[0] in _OTHERS and not line[:1].isspace():
            if section is not None:
                yield section
            section = None
        elif section is not None:
            _add(section, words, number)
    if section is not None:
        yield section


def _add(section: _Section, words: list[str], line: int) -> None:
    key, arguments = words[0], tuple(words[1:])
    if key in ("timeout", "option") and arguments:
        key, arguments = f"{key} {arguments[0]}", arguments[1:]
    if key in ("server", "server-template"):
        at = 1 if key == "server" else 2
        section.servers.extend(arguments[at : at + 1])
    elif key == "bind":
        section.binds.extend(arguments[:1])
    elif key in ("default_backend", "use_backend"):
        section.uses.extend(arguments[:1])
    else:
        section.said[key] = arguments, line


def _inherited(sections: Iterator[_Section]) -> Iterator[_Section]:
    """Each with what its ``defaults`` say: those it names, else the nearest above it."""
    named: dict[str, Mapping[str, tuple[tuple[str, ...], int]]] = {}
    nearest: Mapping[str, tuple[tuple[str, ...], int]] = {}
    for section in sections:
        if section.kind == "defaults":
            nearest = {**named.get(section.above, {}), **section.said}
            named[section.name] = nearest
        elif section.kind != "global":
            above = named.get(section.above, {}) if section.above else nearest
            yield replace(section, said={**above, **section.said})


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError:  # a quotation that does not end; HAProxy would refuse the file
        return line.split()

"""nginx's configuration, by crossplane: its ``proxy_pass`` locations, and its ``stream`` proxies.

One file at a time: `nginx_files` puts those together that include each other. A file without an
``http`` block of its own (``conf.d/app.conf``) that no other includes is taken to stand in one
that sets no timeouts, as in the one that nginx comes with.

Defaults: https://nginx.org/en/docs/http/ngx_http_proxy_module.html and
https://nginx.org/en/docs/stream/ngx_stream_proxy_module.html
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import crossplane

from harness.audit.directives import Blocks, Directive, walk
from harness.audit.finding import Unread
from harness.audit.loaders.upstreams import address, leads_to_a_database, port_of
from harness.audit.parts import Gateway, Proxy
from harness.audit.reading import NginxFile, Reading, read_at
from harness.audit.sources import SourceFile
from harness.audit.values import Place, Value

NGINX = "nginx"
_PASSES = {f"{kind}_pass": kind for kind in ("proxy", "uwsgi", "grpc", "fastcgi", "scgi")}
_SUFFIXES = frozenset(
    {".conf", ".inc", ".nginx", ".template", ".tmpl", ".tpl", ".j2", ".vhost", ""}
)
_SHAPE = re.compile(
    r"^\s*(?:(?:server|http|stream)\s*\{|upstream\s+\S+\s*\{|location\s[^;{]*\{|(?:proxy|uwsgi|grpc|fastcgi|scgi)_pass\s)",
    re.MULTILINE,
)
_PART = re.compile(
    r"^[ \t]*(?:(?:proxy|uwsgi|grpc|fastcgi|scgi|ssl|gzip|client|keepalive|limit|real_ip)_\w+"
    r"|add_header|set_real_ip_from|gzip)[ \t][^;{}\n]*;[ \t]*(?:#.*)?$",
    re.MULTILINE,
)
"""A line of a file that others include."""

_HARMLESS = re.compile(r"(^|/)(mime\.types|(proxy|fastcgi|uwsgi|scgi)[._]params|fastcgi\.conf)$")
"""Files that come with nginx and set no timeouts."""

_UNITS_S = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_TIME = re.compile(r"(?:\d+(?:ms|[smhd]?)\s*)+")
_WHEN_SLOW = frozenset({"timeout", "http_500", "http_502", "http_503", "http_504"})
READ_TIMEOUT_S = 60.0
STREAM_TIMEOUT_S = 600.0


def recognises(file: SourceFile) -> bool:
    """By what it sends on, or sets for others to include; a template of one is one as well."""
    if file.path.suffix not in _SUFFIXES:
        return False
    return _sends_on(file) or (";" in file.text and _PART.search(file.text) is not None)


def _sends_on(file: SourceFile) -> bool:
    """One that only serves files is nginx's by its name."""
    sends = "_pass" in file.text or file.path.name == "nginx.conf"
    return sends and "{" in file.text and _SHAPE.search(file.text) is not None


def load(file: SourceFile) -> Reading:
    """A gateway for each kind of location, and a proxy for each that leads to a database."""
    parsed = _parsed(file)
    if isinstance(parsed, Unread):
        # A part that looks like one of nginx's may be another program's.
        return Reading(unread=(parsed,) if "_pass" in file.text else ())
    found = of_directives(file.name, parsed)
    return replace(found, nginx_files=(NginxFile(name=file.name, directives=parsed),))


def of_directives(file: str, directives: Blocks) -> Reading:
    """What the directives of a file do, those that it includes among them."""
    parsed = (Directive("", (), 0, directives, file),)
    upstreams = {
        each.arguments[0]: tuple(s.arguments[0] for s in each.inside if _is_server(s))
        for each, _ in walk(parsed)
        if each.name == "upstream" and each.arguments
    }
    gateways: dict[object, Gateway] = {}
    proxies = []
    for passing, around in walk(parsed):
        if passing.name not in _PASSES or not passing.arguments:
            continue
        servers = _servers(passing.arguments[0], upstreams)
        if any(block.name == "stream" for block in around):
            proxies += _proxy(passing, around, servers)
            continue
        gateway = _gateway(passing, around, servers)
        # Locations that are alike are one gateway: else each of its findings came many times.
        alike = (passing.file, gateway.timeout_s.known, gateway.timeout_s.origin, gateway.upstreams)
        gateways.setdefault((*alike, gateway.attempts.known), gateway)
    return Reading(gateways=tuple(gateways.values()), proxies=tuple(proxies))


def _is_server(directive: Directive) -> bool:
    return directive.name == "server" and bool(directive.arguments)


def _gateway(passing: Directive, around: Blocks, servers: Sequence[str]) -> Gateway:
    kind = _PASSES[passing.name]
    place = Place(passing.file, passing.line, passing.name)
    default = Value.default(READ_TIMEOUT_S, NGINX, place)
    location = next((b for b in reversed(around) if b.name == "location"), None)
    where = f"location {location.arguments[-1]}" if location and location.arguments else "server"
    return Gateway(
        name=f"nginx ({where})",
        place=place,
        timeout_s=_time(f"{kind}_read_timeout", around, default),
        attempts=_attempts(kind, around, len(servers), place),
        retry_budget=Value.default(float("inf"), NGINX, place),
        upstreams=_hosts(servers),
    )


def _attempts(kind: str, around: Blocks, servers: int, place: Place) -> Value[int]:
    """A request goes to each server once at the most; one that changes something only to one."""
    key = f"{kind}_next_upstream"
    told = _innermost(around, key)
    when = set(told.arguments) if told else {"error", "timeout"}
    if told:
        place = Place(told.file, told.line, key)
    if servers < 2 or not when & _WHEN_SLOW:
        return Value.default(1, NGINX, place)
    if "non_idempotent" not in when:
        return Value.unknown("only requests that change nothing are tried again", place)
    tries = _innermost(around, f"{key}_tries")
    if tries is None or not tries.arguments:
        return Value.at(servers, place)
    there = Place(tries.file, tries.line, tries.name)
    return read_at(tries.arguments[0], there, tries.name, int).map(
        lambda most: min(most or servers, servers)
    )


def _proxy(passing: Directive, around: Blocks, servers: Sequence[str]) -> list[Proxy]:
    place = Place(passing.file, passing.line, passing.name)
    ends = [found for server in servers if (found := address(server))]
    listens = [
        port_of(directive.arguments[0])
        for directive in around[-1].inside
        if directive.name == "listen" and directive.arguments
    ]
    names = [passing.arguments[0], *(host for host, _ in ends)]
    if not leads_to_a_database(names, [*(port for _, port in ends), *listens]):
        return []
    default = Value.default(STREAM_TIMEOUT_S, NGINX, place)
    timeout_s = _time("proxy_timeout", around, default)
    return [Proxy(name="nginx", place=place, idle_timeout_s=timeout_s, upstreams=_hosts(servers))]


def _servers(target: str, upstreams: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """What ``proxy_pass`` names, an upstream's servers where it is one."""
    bare = re.sub(r"^\w+://", "", target)
    name = re.split(r"[/:]", bare, maxsplit=1)[0]
    return upstreams.get(name, (bare,))


def _hosts(servers: Sequence[str]) -> tuple[str, ...]:
    found = (address(server) for server in servers)
    return tuple(dict.fromkeys(each[0] for each in found if each))


def _time(key: str, around: Blocks, default: Value[float]) -> Value[float]:
    """The innermost that is said; unknown where something that is included might say it."""
    said = _innermost(around, key)
    if said is not None and said.arguments:
        return read_at(" ".join(said.arguments), Place(said.file, said.line, key), key, _seconds)
    included = _innermost(around, "include", _may_set_timeouts)
    if included is not None:
        place = Place(included.file, included.line, "include")
        return Value.unknown(f"{key} may stand in what is included here", place)
    return default


def _may_set_timeouts(directive: Directive) -> bool:
    return not all(_HARMLESS.search(name) for name in directive.arguments)


def _innermost(around: Blocks, key: str, holds: Any = None) -> Directive | None:
    for block in reversed(around):
        for directive in reversed(block.inside):
            if directive.name == key and (holds is None or holds(directive)):
                return directive
    return None


def _seconds(text: str) -> float:
    """nginx's spelling of a time (``1m 30s``). Raises `ValueError`."""
    if _TIME.fullmatch(text) is None:
        raise ValueError(text)
    return sum(
        int(count) * _UNITS_S[unit] for count, unit in re.findall(r"(\d+)(ms|[smhd]?)", text)
    )


def _parsed(file: SourceFile) -> Blocks | Unread:
    """What stands in the file. The parser wants a file of its own: it gets a copy of the text."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder, "nginx.conf")
            copy.write_text(file.text, "utf-8")
            said = crossplane.parse(str(copy), single=True, check_ctx=False, check_args=False)
        (config,) = said["config"]
        errors = config["errors"]
        if errors:
            return Unread(file.name, "not nginx's syntax", errors[0].get("line") or 0)
        return _directives(config["parsed"], file.name)
    except (ValueError, LookupError, TypeError, RuntimeError, StopIteration, OSError) as error:
        return Unread(file.name, f"not nginx's syntax ({type(error).__name__})")


def _directives(parsed: Sequence[Mapping[str, Any]], file: str) -> Blocks:
    return tuple(
        Directive(
            each["directive"],
            tuple(each["args"]),
            each["line"],
            _directives(each.get("block") or (), file),
            file,
        )
        for each in parsed
    )

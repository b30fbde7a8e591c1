"""Traefik: the services of its dynamic files and of labels, and how long it waits for them.

The timeout of a service is its ``serversTransport``'s, else that of the static configuration; each
may stand in another file. So each is a variable, which the file that has it declares.

Sources, and defaults (no timeout for a response's header):
https://doc.traefik.io/traefik/reference/routing-configuration/http/load-balancing/serverstransport/
and https://doc.traefik.io/traefik/reference/routing-configuration/http/middlewares/retry/ (a
request that a server has received is not sent again, unless ``status`` asks for it or newer
releases are told that ``retryNonIdempotentMethod``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

from harness.audit.finding import Unread
from harness.audit.loaders.durations import seconds
from harness.audit.loaders.shell import Word
from harness.audit.loaders.upstreams import address
from harness.audit.parts import Gateway
from harness.audit.reading import Environment, Reading, read_at
from harness.audit.sources import SourceFile
from harness.audit.trees import documents_of
from harness.audit.values import Place, Settings, Value, Variable
from harness.audit.yamls import Item, NotReadable

TRAEFIK = "Traefik"
STATIC = "serverstransport.forwardingtimeouts.responseheadertimeout"
_IN_ENVIRONMENT = "TRAEFIK_SERVERSTRANSPORT_FORWARDINGTIMEOUTS_RESPONSEHEADERTIMEOUT"
_OF_TRANSPORT = "http.serverstransports.{}.forwardingtimeouts.responseheadertimeout"
_SIGN = re.compile(r"\bloadBalancer\b|\bforwardingTimeouts\b|\bserversTransports?\b", re.IGNORECASE)
_SHOWN = re.compile(r"[\w.@-]+")
_SERVICE = re.compile(r"traefik\.http\.services\.([^.]+)\.loadbalancer\.(.+)")
_RETRY = re.compile(r"traefik\.http\.middlewares\.([^.]+)\.retry\.(.+)")


def recognises(file: SourceFile) -> bool:
    """By services that are balanced, or what the static configuration says of their times."""
    if file.path.suffix not in (".yaml", ".yml", ".toml") or _SIGN.search(file.text) is None:
        return False
    try:
        return any(_is_traefiks(document) for document in documents_of(file))
    except NotReadable:
        return "traefik" in file.path.name.lower()


def _is_traefiks(document: Item) -> bool:
    if document.get("apiVersion") is not None:
        return False  # an object of Kubernetes
    http = _field(document, "http")
    services = _field(http, "services")
    balanced = [_field(each, "loadBalancer") for _, each in _pairs(services)]
    transports = _field(document, "serversTransport") or _field(http, "serversTransports")
    return any(each is not None for each in balanced) or transports is not None


def load(file: SourceFile) -> Reading:
    """A gateway for each service, and the timeouts of transports as variables."""
    try:
        documents = documents_of(file)
    except NotReadable as error:
        return Reading(unread=(Unread(file.name, str(error), error.line),))
    settings: dict[str, tuple[str, Place]] = {}
    gateways: list[Gateway] = []
    for document in documents:
        http = _field(document, "http")
        settings |= _timeouts(file, document, http)
        for name, service in _pairs(_field(http, "services")):
            balancer = _field(service, "loadBalancer")
            if balancer is not None:
                gateways.append(_gateway(file, name, balancer, http))
    environment = Environment(name=file.name, place=Place(file.name), settings=settings)
    return Reading(gateways=tuple(gateways), environments=(environment,) if settings else ())


def _timeouts(file: SourceFile, document: Item, http: Item | None) -> Settings:
    """What this file declares; a transport that says nothing has the default."""
    found = {}
    static = _field(document, "serversTransport")
    said = _field(_field(static, "forwardingTimeouts"), "responseHeaderTimeout")
    if said is not None:
        found[STATIC] = said.text or "", Place(file.name, said.line, "responseHeaderTimeout")
    for name, transport in _pairs(_field(http, "serversTransports")):
        said = _field(_field(transport, "forwardingTimeouts"), "responseHeaderTimeout")
        line = said.line if said is not None else transport.line
        text = (said.text or "") if said is not None else "0s"
        place = Place(file.name, line, "responseHeaderTimeout")
        found[_OF_TRANSPORT.format(name.lower())] = text, place
    return found


def _gateway(file: SourceFile, name: str, balancer: Item, http: Item | None) -> Gateway:
    place = Place(file.name, balancer.key_line or balancer.line, "loadBalancer")
    named = _field(balancer, "serversTransport")
    servers = _field(balancer, "servers")
    urls = [_field(each, "url") for each in (servers.items if servers is not None else None) or ()]
    found = (address(each.text) for each in urls if each is not None and each.text)
    return Gateway(
        name=_called(name),
        place=place,
        timeout_s=_timeout(named.text if named is not None else "", place),
        attempts=_attempts(place, _retries(file, name, http)),
        retry_budget=Value.default(math.inf, TRAEFIK, place),
        upstreams=tuple(dict.fromkeys(each[0] for each in found if each)),
    )


def _called(name: str) -> str:
    return f"Traefik ({name})" if _SHOWN.fullmatch(name) else TRAEFIK


def _timeout(transport: str | None, place: Place) -> Value[float]:
    """As the transport says, of whatever file; without one as the static configuration does."""
    name = (transport or "").partition("@")[0].lower()
    if not name or name == "default":
        return Value.default(math.inf, TRAEFIK, place).decided_by(Variable(STATIC, _seconds))
    variable = Variable(_OF_TRANSPORT.format(name), _seconds)
    return Value.unknown("its serversTransport is not in a file that was read", place, variable)


def _seconds(text: str) -> float:
    """A duration; a number alone is seconds. Raises `ValueError`."""
    return float(text) or math.inf if text.isdecimal() else seconds(text)


def _retries(file: SourceFile, service: str, http: Item | None) -> list[Settings]:
    """The settings of each retry before a service, by the routers that lead to it."""
    names = {
        (each.text or "").partition("@")[0]
        for _, router in _pairs(_field(http, "routers"))
        if _text(router, "service").partition("@")[0] == service
        for each in _each(_field(router, "middlewares"))
    }
    found: list[Settings] = []
    for name, middleware in _pairs(_field(http, "middlewares")):
        retry = _field(middleware, "retry")
        if name in names and retry is not None:
            said = {
                key.lower(): (each.text or "more", Place(file.name, each.line, key))
                for key, each in _pairs(retry)
            }
            found.append(said)
    return found


def _attempts(place: Place, retries: Iterable[Settings]) -> Value[int]:
    """Tries that may each have reached a server."""
    for said in retries:
        changing, _ = said.get("retrynonidempotentmethod", ("false", place))
        if changing.lower() == "true" and "attempts" in said:
            text, there = said["attempts"]
            return read_at(text, there, "attempts", _count)
        if "status" in said:
            _, there = said["status"]
            return Value.unknown("only requests that change nothing are tried again", there)
    return Value.default(1, TRAEFIK, place)


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise ValueError(text)
    return count


def labelled(labels: Settings, hosts: tuple[str, ...]) -> tuple[Gateway, ...]:
    """The gateway of a container that labels tell Traefik of; none where it is not to be served.

    Names in labels are the same in any case.
    """
    said = {key.lower(): text for key, text in labels.items()}
    mine = {key: each for key, each in said.items() if key.startswith("traefik.http.")}
    enabled, _ = said.get("traefik.enable", ("true", None))
    if not mine or enabled.lower() == "false":
        return ()
    place = min(at for _, at in mine.values())
    services = _settings(mine, _SERVICE)
    transports = [
        each["serverstransport"][0] for each in services.values() if "serverstransport" in each
    ]
    return (
        Gateway(
            name=_called(next(iter(services), "")) if len(services) == 1 else TRAEFIK,
            place=place,
            timeout_s=_timeout(transports[0] if transports else "", place),
            attempts=_attempts(place, _settings(mine, _RETRY).values()),
            retry_budget=Value.default(math.inf, TRAEFIK, place),
            upstreams=hosts,
        ),
    )


def told(words: Iterable[Word], environment: Settings, place: Place) -> Reading:
    """What a container's command or environment says of the static configuration."""
    settings = {}
    if _IN_ENVIRONMENT in environment:
        settings[STATIC] = environment[_IN_ENVIRONMENT]
    for word, there in words:
        key, equals, text = word.partition("=")
        if equals and key.lower() == f"--{STATIC}":
            settings[STATIC] = text, there
    name = f"{place.file} ({place.key})"
    environments = (Environment(name=name, place=place, settings=settings),) if settings else ()
    return Reading(environments=environments)


def _settings(labels: Settings, pattern: re.Pattern[str]) -> Mapping[str, Settings]:
    """What labels say of each thing that ``pattern`` finds the name and the setting of."""
    found: dict[str, dict[str, tuple[str, Place]]] = {}
    for key, said in labels.items():
        if (match := pattern.fullmatch(key)) is not None:
            found.setdefault(match[1], {})[match[2]] = said
    return found


def _field(item: Item | None, name: str) -> Item | None:
    """A field in any case, as Traefik reads it."""
    fields = item.fields if item is not None else None
    if not fields:
        return None
    return next((each for key, each in fields.items() if key.lower() == name.lower()), None)


def _pairs(item: Item | None) -> Iterable[tuple[str, Item]]:
    return ((item.fields if item is not None else None) or {}).items()


def _each(item: Item | None) -> tuple[Item, ...]:
    return (item.items if item is not None else None) or ()


def _text(item: Item | None, name: str) -> str:
    found = _field(item, name)
    return (found.text or "") if found is not None else ""

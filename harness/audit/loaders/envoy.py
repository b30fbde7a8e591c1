"""Envoy's static resources (YAML or JSON): routes as gateways, TCP proxies before a database.

Defaults: https://www.envoyproxy.io/docs/envoy/latest/faq/configuration/timeouts and
https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/cluster/v3/circuit_breaker.proto
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.finding import Unread
from harness.audit.loaders.upstreams import leads_to_a_database
from harness.audit.parts import Gateway, Proxy
from harness.audit.reading import Reading, number, read_at
from harness.audit.sources import SourceFile
from harness.audit.values import Place, Value
from harness.audit.yamls import Item, NotReadable, documents

ENVOY = "Envoy"
ROUTE_TIMEOUT_S = 15.0
TCP_IDLE_TIMEOUT_S = 3600.0
RETRIES = 1
BUDGET_PERCENT = 20.0
_UNLIMITED_RETRIES = 1000
"""From so many retries at once on, ``max_retries`` is there to limit nothing."""

_REPEATS_WORK = frozenset(
    {
        "5xx",
        "gateway-error",
        "reset",
        "retriable-status-codes",
        "retriable-4xx",
        "envoy-ratelimited",
    }
)


def recognises(file: SourceFile) -> bool:
    """By its static resources with listeners or clusters."""
    if file.path.suffix not in (".yaml", ".yml", ".json", ".tmpl", ".template"):
        return False
    return "static_resources" in file.text and ("listeners" in file.text or "clusters" in file.text)


def load(file: SourceFile) -> Reading:
    """A gateway for each kind of route, and a proxy for each TCP proxy before a database."""
    try:
        found = documents(file.text)
    except NotReadable as error:
        return Reading(unread=(Unread(file.name, str(error), error.line),))
    gateways: dict[object, Gateway] = {}
    proxies = []
    for document in found:
        resources = document.get("static_resources")
        clusters = _clusters(resources)
        for name, settings in _filters(resources):
            if "tcp_proxy" in name or name.endswith("TcpProxy"):
                proxies += _proxies(file, settings, clusters)
            for route, retries in _routes(settings):
                gateway = _gateway(file, route, retries, clusters)
                alike = (gateway.timeout_s.known, gateway.timeout_s.origin, gateway.upstreams)
                gateways.setdefault((*alike, gateway.attempts.known), gateway)
    return Reading(gateways=tuple(gateways.values()), proxies=tuple(proxies))


def _items(item: Item | None, *path: str) -> tuple[Item, ...]:
    found = item.get(*path) if item is not None else None
    return (found.items if found is not None else None) or ()


def _text(item: Item | None, *path: str) -> str:
    found = item.get(*path) if item is not None else None
    return (found.text if found is not None else None) or ""


def _clusters(resources: Item | None) -> dict[str, Item]:
    return {_text(each, "name"): each for each in _items(resources, "clusters")}


def _filters(resources: Item | None) -> Iterator[tuple[str, Item]]:
    """Every network filter: its name or type, and its settings."""
    for listener in _items(resources, "listeners"):
        chains = [*_items(listener, "filter_chains")]
        if (default := listener.get("default_filter_chain")) is not None:
            chains.append(default)
        for chain in chains:
            for each in _items(chain, "filters"):
                settings = each.get("typed_config") or each.get("config")
                if settings is not None:
                    kind = _text(settings, "@type") or _text(each, "name")
                    yield kind, settings


def _routes(settings: Item) -> Iterator[tuple[Item, Item | None]]:
    """Every route that goes to a cluster, with the retry policy that holds for it."""
    for host in _items(settings, "route_config", "virtual_hosts"):
        for each in _items(host, "routes"):
            route = each.get("route")
            if route is not None:
                yield route, route.get("retry_policy") or host.get("retry_policy")


def _gateway(
    file: SourceFile, route: Item, retries: Item | None, clusters: dict[str, Item]
) -> Gateway:
    place = Place(file.name, route.line, "route")
    names = _targets(route)
    named = [clusters[name] for name in names if name in clusters]
    return Gateway(
        name=f"Envoy (route to {names[0]})" if names else "Envoy",
        place=place,
        timeout_s=_duration(file, route, "timeout", ROUTE_TIMEOUT_S, place),
        attempts=_attempts(file, retries, place),
        retry_budget=_budget(file, named, place),
        upstreams=tuple(dict.fromkeys(host for each in named for host, _ in _ends(each))),
    )


def _targets(route: Item) -> list[str]:
    weighted = _items(route, "weighted_clusters", "clusters")
    names = [_text(route, "cluster"), *(_text(each, "name") for each in weighted)]
    return [name for name in names if name]


def _attempts(file: SourceFile, retries: Item | None, place: Place) -> Value[int]:
    """The first try and ``num_retries``, where a request may be repeated that reached a server."""
    if retries is None:
        return Value.default(1, ENVOY, place)
    when = {each.strip() for each in _text(retries, "retry_on").split(",")}
    if not when & _REPEATS_WORK:
        return Value.default(1, ENVOY, Place(file.name, retries.line, "retry_on"))
    most = retries.get("num_retries")
    if most is None or most.text is None:
        return Value.default(RETRIES + 1, ENVOY, Place(file.name, retries.line, "retry_policy"))
    at = Place(file.name, most.line, "num_retries")
    return read_at(most.text, at, "num_retries", int).map(lambda count: count + 1)


def _budget(file: SourceFile, clusters: list[Item], place: Place) -> Value[float]:
    """A ratio where the clusters have a budget; their ``max_retries`` at once is none."""
    if not clusters:
        return Value.unknown("its cluster is not in the file", place)
    for threshold in (t for c in clusters for t in _items(c, "circuit_breakers", "thresholds")):
        budget = threshold.get("retry_budget")
        if budget is not None:
            percent = budget.get("budget_percent", "value")
            at = Place(file.name, budget.line, "retry_budget")
            if percent is None or percent.text is None:
                return Value.default(BUDGET_PERCENT / 100, ENVOY, at)
            return read_at(percent.text, at, "budget_percent", number).map(lambda p: p / 100)
        most = threshold.get("max_retries")
        if most is not None and most.text is not None:
            at = Place(file.name, most.line, "max_retries")
            limit = read_at(most.text, at, "max_retries", int)
            if (limit.known or 0) >= _UNLIMITED_RETRIES:
                return Value.at(math.inf, at)
    return Value.unknown("max_retries limits how many are repeated at once, not their ratio", place)


def _proxies(file: SourceFile, settings: Item, clusters: dict[str, Item]) -> list[Proxy]:
    names = _targets(settings)
    ends = [end for name in names if name in clusters for end in _ends(clusters[name])]
    hosts = tuple(dict.fromkeys(host for host, _ in ends))
    if not leads_to_a_database([*names, *hosts], [port for _, port in ends]):
        return []
    place = Place(file.name, settings.line, "tcp_proxy")
    longest = settings.get("max_downstream_connection_duration")
    return [
        Proxy(
            name=f"Envoy ({names[0]})" if names else "Envoy",
            place=place,
            idle_timeout_s=_duration(file, settings, "idle_timeout", TCP_IDLE_TIMEOUT_S, place),
            longest_s=Value.default(math.inf, ENVOY, place)
            if longest is None
            else _duration(file, settings, "max_downstream_connection_duration", math.inf, place),
            upstreams=hosts,
        )
    ]


def _ends(cluster: Item) -> Iterator[tuple[str, int | None]]:
    """Hosts and ports of a cluster's endpoints."""
    for locality in _items(cluster, "load_assignment", "endpoints"):
        for endpoint in _items(locality, "lb_endpoints"):
            address = ("endpoint", "address", "socket_address")
            host, port = (
                _text(endpoint, *address, "address"),
                _text(endpoint, *address, "port_value"),
            )
            if host and not host.startswith("$"):
                yield host, int(port) if port.isdecimal() else None


def _duration(
    file: SourceFile, item: Item, key: str, default_s: float, place: Place
) -> Value[float]:
    """A duration; 0 is no limit."""
    said = item.get(key)
    if said is None:
        return Value.default(default_s, ENVOY, place)
    at = Place(file.name, said.line, key)
    if said.text is None:
        return Value.unknown(f"{key} is not understood", at)
    return read_at(said.text, at, key, _seconds)


def _seconds(text: str) -> float:
    """Protobuf's JSON spelling of a duration (``0.25s``). Raises `ValueError`."""
    if not text.endswith("s"):
        raise ValueError(text)
    return number(text.removesuffix("s")) or math.inf

"""Routes of Kubernetes' gateways: Istio's VirtualService, and the Gateway API's HTTPRoute.

https://istio.io/latest/docs/reference/config/networking/virtual-service/ and
https://gateway-api.sigs.k8s.io/reference/spec/
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

from harness.audit.parts import Gateway
from harness.audit.reading import Reading, read_at
from harness.audit.sources import SourceFile
from harness.audit.values import Place, Value
from harness.audit.yamls import Item

ISTIO = "Istio"
_REPEATS_WORK = frozenset({"5xx", "gateway-error", "reset", "retriable-status-codes"})
_UNITS_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[hms]))+")


def virtual_service(file: SourceFile, item: Item) -> Reading:
    """A gateway for each of its routes; without a timeout Istio has none."""
    name = item.text_at("metadata", "name")
    gateways = []
    for route in item.each("spec", "http"):
        place = Place(file.name, route.line, name)
        hosts = [each.text_at("destination", "host") for each in route.each("route")]
        gateways.append(
            Gateway(
                name=f"VirtualService {name}",
                place=place,
                timeout_s=_time(file, route.get("timeout"), Value.default(math.inf, ISTIO, place)),
                attempts=_istios_attempts(file, route.get("retries"), place),
                retry_budget=Value.unknown("a DestinationRule may limit it", place),
                upstreams=_names(hosts),
            )
        )
    return Reading(gateways=tuple(gateways))


def http_route(file: SourceFile, item: Item) -> Reading:
    """A gateway for each of its rules; without a timeout its implementation decides."""
    name = item.text_at("metadata", "name")
    gateways = []
    for rule in item.each("spec", "rules"):
        place = Place(file.name, rule.line, name)
        unsaid: Value[float] = Value.unknown("the gateway's implementation decides", place)
        retries = rule.get("retry", "attempts")
        gateways.append(
            Gateway(
                name=f"HTTPRoute {name}",
                place=place,
                timeout_s=_time(file, rule.get("timeouts", "request"), unsaid),
                attempts=_and_one(file, retries)
                if retries is not None and rule.each("retry", "codes")
                else Value.unknown("the gateway's implementation decides", place),
                retry_budget=unsaid,
                upstreams=_names([each.text_at("name") for each in rule.each("backendRefs")]),
            )
        )
    return Reading(gateways=tuple(gateways))


ROUTES: Mapping[str, tuple[str, Callable[[SourceFile, Item], Reading]]] = {
    "VirtualService": ("networking.istio.io/", virtual_service),
    "HTTPRoute": ("gateway.networking.k8s.io/", http_route),
}
"""Loaders by the kind of an object, with the beginning of its version."""


def _istios_attempts(file: SourceFile, retries: Item | None, place: Place) -> Value[int]:
    """What ``retryOn`` names by default has not reached the application."""
    when = {each.strip() for each in retries.text_at("retryOn").split(",")} if retries else set()
    attempts = retries.get("attempts") if retries else None
    if attempts is None or not when & _REPEATS_WORK:
        return Value.default(1, ISTIO, place)
    return _and_one(file, attempts)


def _and_one(file: SourceFile, retries: Item) -> Value[int]:
    """So many retries, and the first try."""
    place = Place(file.name, retries.line, "attempts")
    return read_at(retries.text or "", place, "attempts", int).map(lambda count: count + 1)


def _names(hosts: list[str]) -> tuple[str, ...]:
    """Each host, and the Service that a full name begins with."""
    return tuple(dict.fromkeys(n for h in hosts if h for n in (h, h.partition(".")[0])))


def _time(file: SourceFile, said: Item | None, default: Value[float]) -> Value[float]:
    if said is None:
        return default
    return read_at(said.text or "", Place(file.name, said.line, "timeout"), "timeout", _seconds)


def _seconds(text: str) -> float:
    """A duration as Go writes it (``1m30s``); 0 is none. Raises `ValueError`."""
    if _DURATION.fullmatch(text) is None:
        raise ValueError(text)
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|[hms])", text)
    return sum(float(count) * _UNITS_S[unit] for count, unit in parts) or math.inf

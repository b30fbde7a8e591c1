"""The edge that Kubernetes' Ingress asks for.

Source: https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/annotations/
"""

from __future__ import annotations

import math

from harness.audit.loaders.pods import Within, name_of, whole_count
from harness.audit.parts import Gateway
from harness.audit.reading import Reading, number
from harness.audit.values import Place, Settings, Value, read_at
from harness.audit.yamls import Item

INGRESS = "nginx.ingress.kubernetes.io/"

INGRESS_TIMEOUT_S, INGRESS_TRIES = 60.0, 3


def ingress(within: Within, item: Item) -> Reading:
    """A gateway to the Services that its paths name."""
    paths = [
        path
        for rule in item.each("spec", "rules")
        for path in rule.each("http", "paths")
        if path.fields is not None
    ]
    backends = [path.get("backend") for path in paths]
    backends += [item.get("spec", "defaultBackend"), item.get("spec", "backend")]
    names = [
        each.text_at("service", "name") or each.text_at("serviceName")
        for each in backends
        if each is not None
    ]
    annotations = item.get("metadata", "annotations")
    controller = item.text_at("spec", "ingressClassName") or (
        annotations.text_at("kubernetes.io/ingress.class") if annotations else ""
    )
    place = within.place(item, name_of(item))
    upstreams = tuple(dict.fromkeys(filter(None, names)))
    return Reading(
        gateways=(edge_of(f"ingress {name_of(item)}", place, annotations, controller, upstreams),)
    )


def edge_of(
    name: str, place: Place, annotations: Item | None, controller: str, upstreams: tuple[str, ...]
) -> Gateway:
    """A gateway that an Ingress asks for. Only ingress-nginx says its times in annotations here.

    Source: https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/annotations/
    """
    said = dict(annotations.pairs()) if annotations is not None else {}
    settings = {
        key.removeprefix(INGRESS): (each.text or "", Place(place.file, each.line, key))
        for key, each in said.items()
        if key.startswith(INGRESS)
    }
    if not settings and "nginx" not in controller:
        why = "the timeout of this ingress controller is set elsewhere"
        return Gateway(
            name=name,
            place=place,
            timeout_s=Value.unknown(why, place),
            attempts=Value.unknown(why, place),
            upstreams=upstreams,
        )
    timeout_s: Value[float] = Value.default(INGRESS_TIMEOUT_S, "ingress-nginx", place)
    if "proxy-read-timeout" in settings:
        text, where = settings["proxy-read-timeout"]
        timeout_s = read_at(text.removesuffix("s"), where, "proxy-read-timeout", number)
    return Gateway(
        name=name,
        place=place,
        timeout_s=timeout_s,
        attempts=_attempts(settings, place),
        retry_budget=Value.default(math.inf, "ingress-nginx", place),
        upstreams=upstreams,
    )


def _attempts(settings: Settings, place: Place) -> Value[int]:
    """A request that changes something is sent once, where it is not said that others follow."""
    when, where = settings.get("proxy-next-upstream", ("error timeout", place))
    if when.strip() == "off":
        return Value.at(1, where)
    if "non_idempotent" not in when:
        return Value.unknown("only requests that change nothing are tried again", where)
    if "proxy-next-upstream-tries" not in settings:
        return Value.default(INGRESS_TRIES, "ingress-nginx", where)
    text, where = settings["proxy-next-upstream-tries"]
    tries = read_at(text, where, "proxy-next-upstream-tries", whole_count)
    if tries.known == 0:
        return Value.unknown("it is tried again by every pod", where)
    return tries

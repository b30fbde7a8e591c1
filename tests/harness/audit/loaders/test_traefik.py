"""Traefik: services of its files and of labels, and timeouts that other files declare."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit.chain import Chain, Declared
from harness.audit.joining.join import joined
from harness.audit.loaders import compose, traefik
from harness.audit.parts import Gateway
from harness.audit.reading import Reading
from tests.harness.audit.loaders.reading import SECRET, read, source, texts

DYNAMIC = """\
http:
  routers:
    shop: {rule: "Host(`shop.example`)", service: shop, middlewares: [again]}
  middlewares:
    again: {retry: {attempts: 4}}
  services:
    shop:
      loadBalancer:
        servers:
          - url: http://shop-1:8000
          - url: http://shop-2:8000
    patient:
      loadBalancer:
        serversTransport: slow
        servers: [{url: "http://reports:8000"}]
  serversTransports:
    slow:
      forwardingTimeouts:
        responseHeaderTimeout: 90s
"""
STATIC = "serversTransport:\n  forwardingTimeouts:\n    responseHeaderTimeout: 8s\n"
TOML = """\
[http.services.shop.loadBalancer]
  [[http.services.shop.loadBalancer.servers]]
    url = "http://shop:8000"
"""


def chain(*readings: Reading) -> Chain:
    (found,) = joined(readings, Declared())
    return found


def dynamic(text: str = DYNAMIC) -> Reading:
    return read(traefik, "traefik/dynamic.yaml", text)


def composed(text: str) -> Reading:
    return read(compose, "compose.yaml", f"services:\n{text}")


def labelled(*labels: str) -> tuple[Gateway, ...]:
    lines = "".join(f"      - {label}\n" for label in labels)
    return composed(f"  web:\n    image: shop\n    labels:\n{lines}").gateways


def test_services_are_gateways() -> None:
    shop, patient = dynamic().gateways
    assert (shop.name, shop.upstreams) == ("Traefik (shop)", ("shop-1", "shop-2"))
    assert (shop.place.line, patient.upstreams) == (8, ("reports",))
    assert (shop.timeout_s.known, shop.timeout_s.origin) == (math.inf, "default")
    assert shop.retry_budget.known == math.inf


def test_a_timeout_is_that_of_the_services_transport() -> None:
    shop, patient = chain(dynamic()).gateways
    assert (shop.timeout_s.known, patient.timeout_s.known) == (math.inf, 90)
    assert patient.timeout_s.place is not None
    assert patient.timeout_s.place.line == 19


def test_without_one_it_is_that_of_the_static_configuration() -> None:
    shop, patient = chain(dynamic(), read(traefik, "traefik.yml", STATIC)).gateways
    assert (shop.timeout_s.known, patient.timeout_s.known) == (8, 90)
    assert shop.timeout_s.place is not None
    assert shop.timeout_s.place.file == "traefik.yml"


@pytest.mark.parametrize(
    "service",
    [
        "command: --serversTransport.forwardingTimeouts.responseHeaderTimeout=8s",
        "environment: {TRAEFIK_SERVERSTRANSPORT_FORWARDINGTIMEOUTS_RESPONSEHEADERTIMEOUT: 8s}",
    ],
)
def test_a_command_or_variable_says_it_too(service: str) -> None:
    edge = composed(f"  edge:\n    image: traefik:v3\n    {service}\n")
    assert chain(dynamic(), edge).gateways[0].timeout_s.known == 8


def test_a_transport_of_no_file_is_unknown() -> None:
    text = DYNAMIC.replace("serversTransport: slow", "serversTransport: other@file")
    _, patient = chain(dynamic(text)).gateways
    assert "serversTransport" in patient.timeout_s.why
    text = DYNAMIC.replace("serversTransport: slow", "serversTransport: SLOW@file")
    assert chain(dynamic(text)).gateways[1].timeout_s.known == 90


@pytest.mark.parametrize(
    ("text", "timeout_s"),
    [("0s", math.inf), ("0", math.inf), ("1m30s", 90), ("20", 20), ("soon", None), ("-1s", None)],
)
def test_times(text: str, timeout_s: float | None) -> None:
    _, patient = chain(dynamic(DYNAMIC.replace("90s", text))).gateways
    assert patient.timeout_s.known == timeout_s


def test_a_transport_that_says_no_time_has_none() -> None:
    text = DYNAMIC.replace(
        "forwardingTimeouts:\n        responseHeaderTimeout: 90s", "disableHTTP2: true"
    )
    assert chain(dynamic(text)).gateways[1].timeout_s.known == math.inf


@pytest.mark.parametrize(
    ("retry", "attempts", "why"),
    [
        ("attempts: 4", 1, ""),
        ("attempts: 4, status: ['500-599']", None, "change nothing"),
        ("attempts: 4, retryNonIdempotentMethod: true", 4, ""),
        ("attempts: 0, retryNonIdempotentMethod: true", None, "not understood"),
    ],
)
def test_what_a_server_has_is_sent_again_only_where_it_says_so(
    retry: str, attempts: int | None, why: str
) -> None:
    shop, patient = dynamic(DYNAMIC.replace("attempts: 4", retry)).gateways
    assert shop.attempts.known == attempts
    assert why in shop.attempts.why
    assert patient.attempts.known == 1


def test_toml_is_read_as_well() -> None:
    (shop,) = read(traefik, "dynamic.toml", TOML).gateways
    assert (shop.name, shop.upstreams) == ("Traefik (shop)", ("shop",))


def test_labels_make_a_gateway_to_their_container() -> None:
    (found,) = labelled(
        "traefik.enable=true",
        "traefik.http.routers.shop.rule=Host(`a.example`)",
        "traefik.http.services.shop.loadbalancer.server.port=8000",
        "traefik.http.services.shop.loadbalancer.serversTransport=slow@file",
        "traefik.http.middlewares.m.retry.attempts=3",
        "traefik.http.middlewares.m.retry.retryNonIdempotentMethod=true",
    )
    assert (found.name, found.upstreams, found.attempts.known) == ("Traefik (shop)", ("web",), 3)
    assert found.place.line == 6
    (joined_one,) = chain(Reading(gateways=(found,)), read(traefik, "d.yaml", DYNAMIC)).gateways[:1]
    assert joined_one.timeout_s.known == 90


@pytest.mark.parametrize(
    "labels",
    [
        ("traefik.enable=false", "traefik.http.routers.a.rule=Host(`a`)"),
        ("traefik.enable=true",),
        ("traefik.tcp.routers.a.rule=HostSNI(`*`)",),
        ("com.example=1",),
    ],
)
def test_other_labels_make_none(labels: tuple[str, ...]) -> None:
    assert not labelled(*labels)


def test_swarms_labels_count_and_those_of_infrastructure_do_not() -> None:
    label = "traefik.http.routers.a.rule: Host(`a`)"
    (found,) = composed(
        f"  w:\n    image: shop\n    deploy:\n      labels:\n        {label}\n"
    ).gateways
    assert (found.upstreams, found.place.line) == (("w",), 6)
    assert not composed(f"  edge:\n    image: traefik:v3\n    labels:\n      {label}\n").gateways


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("service.yaml", "apiVersion: v1\nkind: Service\nspec: {type: LoadBalancer}\n"),
        ("values.yaml", "service:\n  loadBalancer: 10.0.0.1\n"),
        ("app.toml", "[http]\nport = 80\n"),
        ("odd.yaml", "loadBalancer: [\n"),
        ("traefik.md", DYNAMIC),
    ],
)
def test_other_files_are_not_recognised(name: str, text: str) -> None:
    assert not traefik.recognises(source(name, text))


def test_half_a_file_is_unread() -> None:
    (unread,) = read(traefik, "traefik.yml", "http: {services: {a: {loadBalancer: [\n").unread
    assert "YAML" in unread.why


def test_no_secret_is_repeated() -> None:
    text = DYNAMIC.replace("http://shop-1", f"http://me:{SECRET}@shop-1").replace("90s", SECRET)
    text = text.replace(
        "again: {retry", f"auth: {{basicAuth: {{users: ['{SECRET}']}}}}\n    a: {{retry"
    )
    found = dynamic(text)
    assert SECRET not in texts(chain(found))
    assert SECRET not in texts(found.gateways)
    assert SECRET not in texts(
        labelled(
            f"traefik.http.middlewares.a.basicauth.users={SECRET}",
            f"traefik.http.middlewares.a.retry.attempts={SECRET}",
            "traefik.http.middlewares.a.retry.retrynonidempotentmethod=true",
        )
    )


KEYS = ("http", "services", "loadBalancer", "servers", "url", "serversTransports", "retry",
        "serversTransport", "forwardingTimeouts", "routers", "middlewares", "service")  # fmt: skip
VALUES: Any = st.recursive(
    st.sampled_from(["a", "1", "", "~", "10s"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(KEYS), VALUES), st.text(max_size=80))
def test_no_shape_makes_it_fall(shape: dict[str, Any], text: str) -> None:
    import json

    for whole in (json.dumps(shape), f"http: {text}", text):
        file = source("traefik.yml", whole)
        traefik.recognises(file)
        chain(traefik.load(file))

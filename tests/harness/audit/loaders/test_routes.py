"""Istio's VirtualService and the Gateway API's HTTPRoute, as gateways."""

from __future__ import annotations

import math
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness.audit.loaders import kubernetes
from harness.audit.parts import Gateway
from tests.harness.audit.loaders.reading import SECRET, read, source, texts


def virtual_service(**route: Any) -> Gateway:
    """The gateway of one route to ``app``."""
    to = [{"destination": {"host": "app.shop.svc.cluster.local"}}]
    return gateway("networking.istio.io/v1", "VirtualService", {"http": [{"route": to, **route}]})


def http_route(**rule: Any) -> Gateway:
    """The gateway of one rule to ``app``."""
    spec = {"rules": [{"backendRefs": [{"name": "app", "port": 80}], **rule}]}
    return gateway("gateway.networking.k8s.io/v1", "HTTPRoute", spec)


def gateway(version: str, kind: str, spec: dict[str, Any]) -> Gateway:
    found = {"apiVersion": version, "kind": kind, "metadata": {"name": "edge"}, "spec": spec}
    (only,) = read(kubernetes, "route.yaml", yaml.safe_dump(found, sort_keys=False)).gateways
    return only


def test_a_virtual_service_says_how_long_it_waits() -> None:
    found = virtual_service(timeout="1m30s")
    assert (found.name, found.timeout_s.known) == ("VirtualService edge", 90)
    assert found.upstreams == ("app.shop.svc.cluster.local", "app")
    assert (virtual_service().timeout_s.known, virtual_service().timeout_s.why) == (
        math.inf,
        "Istio",
    )
    assert virtual_service(timeout="0s").timeout_s.known == math.inf


@pytest.mark.parametrize(
    ("retries", "attempts"),
    [
        ({"attempts": 3, "retryOn": "5xx,connect-failure"}, 4),
        ({"attempts": 3, "retryOn": "connect-failure"}, 1),
        ({"attempts": 3}, 1),
        ({}, 1),
    ],
)
def test_only_what_repeats_work_counts_as_an_attempt(
    retries: dict[str, Any], attempts: int
) -> None:
    assert virtual_service(retries=retries).attempts.known == attempts


def test_an_http_route_says_how_long_it_waits() -> None:
    found = http_route(timeouts={"request": "500ms"}, retry={"codes": [503], "attempts": 2})
    assert (found.timeout_s.known, found.attempts.known, found.upstreams) == (0.5, 3, ("app",))
    assert "implementation decides" in http_route().timeout_s.why
    assert not http_route(retry={"attempts": 2}).attempts.is_known


@pytest.mark.parametrize("said", ["soon", "5", SECRET, {"seconds": 5}])
def test_no_duration_is_unknown(said: Any) -> None:
    assert "not understood" in virtual_service(timeout=said).timeout_s.why
    assert SECRET not in texts(virtual_service(timeout=said, retries={"attempts": SECRET}))


KINDS = [
    ("networking.istio.io/v1", "VirtualService"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
]


@given(
    st.recursive(
        st.none() | st.text(max_size=5) | st.integers(),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["http", "route", "destination", "host", "timeout", "retries",
                             "attempts", "retryOn", "rules", "backendRefs", "timeouts", "retry"]),
            inner,
            max_size=4,
        ),
        max_leaves=15,
    ),
    st.sampled_from(KINDS),
)  # fmt: skip
def test_no_object_makes_it_fall(spec: Any, kind: tuple[str, str]) -> None:
    text = yaml.safe_dump({"apiVersion": kind[0], "kind": kind[1], "spec": spec})
    kubernetes.load(source("route.yaml", text))

"""Envoy: routes with their clusters, retries within a budget, TCP proxies before a database."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness.audit.loaders import envoy
from harness.audit.reading import Reading
from tests.harness.audit.loaders.reading import SECRET, read, source, texts

FILTERS = "type.googleapis.com/envoy.extensions.filters.network"
HTTP = f"{FILTERS}.http_connection_manager.v3.HttpConnectionManager"
TCP = f"{FILTERS}.tcp_proxy.v3.TcpProxy"


def config(
    *routes: dict[str, Any], tcp: dict[str, Any] | None = None, **cluster: Any
) -> dict[str, Any]:
    """One listener with these routes to ``app``, or with a TCP proxy."""
    if tcp is None:
        hosts = [{"name": "all", "routes": [{"match": {}, "route": each} for each in routes]}]
        settings = {"@type": HTTP, "route_config": {"virtual_hosts": hosts}}
    else:
        settings = {"@type": TCP, **tcp}
    filters = [{"name": "one", "typed_config": settings}]
    return {
        "static_resources": {
            "listeners": [{"name": "in", "filter_chains": [{"filters": filters}]}],
            "clusters": [named("app", "app.internal", 8000, **cluster), named("pg", "db", 5432)],
        }
    }


def named(name: str, host: str, port: int, **said: Any) -> dict[str, Any]:
    """A cluster of one endpoint."""
    end = {"endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}}
    return {"name": name, "load_assignment": {"endpoints": [{"lb_endpoints": [end]}]}, **said}


def loaded(data: dict[str, Any]) -> Reading:
    return read(envoy, "envoy.yaml", yaml.safe_dump(data))


def test_a_route_is_a_gateway_to_its_clusters_hosts() -> None:
    text = yaml.safe_dump(config({"cluster": "app", "timeout": "2.5s"}), sort_keys=False)
    (gateway,) = read(envoy, "envoy.yaml", text).gateways
    assert (gateway.name, gateway.timeout_s.known) == ("Envoy (route to app)", 2.5)
    assert gateway.upstreams == ("app.internal",)
    assert gateway.timeout_s.place is not None
    assert "timeout: 2.5s" in text.splitlines()[gateway.timeout_s.place.line - 1]


def test_json_is_read_as_yaml_is() -> None:
    data = json.dumps(config({"cluster": "app", "timeout": "3s"}), indent=2)
    (gateway,) = read(envoy, "envoy.json", data).gateways
    assert gateway.timeout_s.known == 3


def test_a_route_without_a_timeout_has_envoys() -> None:
    (gateway,) = loaded(config({"cluster": "app"})).gateways
    assert (gateway.timeout_s.known, gateway.timeout_s.origin) == (15, "default")
    (gateway,) = loaded(config({"cluster": "app", "timeout": "0s"})).gateways
    assert gateway.timeout_s.known == math.inf


@pytest.mark.parametrize(
    ("policy", "attempts"),
    [
        ({"retry_on": "5xx,reset", "num_retries": 3}, 4),
        ({"retry_on": "gateway-error"}, 2),
        ({"retry_on": "connect-failure", "num_retries": 3}, 1),
        (None, 1),
    ],
)
def test_attempts_are_the_retries_and_one(policy: dict[str, Any] | None, attempts: int) -> None:
    route = {"cluster": "app", **({"retry_policy": policy} if policy else {})}
    (gateway,) = loaded(config(route)).gateways
    assert gateway.attempts.known == attempts


@pytest.mark.parametrize(
    ("threshold", "budget"),
    [
        ({"retry_budget": {"budget_percent": {"value": 15.0}}}, 0.15),
        ({"retry_budget": {"min_retry_concurrency": 5}}, 0.2),
        ({"max_retries": 4294967295}, math.inf),
        ({"max_retries": 5}, None),
        ({}, None),
    ],
)
def test_a_budget_is_the_clusters(threshold: dict[str, Any], budget: float | None) -> None:
    data = config({"cluster": "app"}, circuit_breakers={"thresholds": [threshold]})
    (gateway,) = loaded(data).gateways
    assert gateway.retry_budget.known == budget


def test_weighted_clusters_are_all_upstreams() -> None:
    weighted = {"weighted_clusters": {"clusters": [{"name": "app"}, {"name": "pg"}]}}
    (gateway,) = loaded(config(weighted)).gateways
    assert gateway.upstreams == ("app.internal", "db")


def test_a_tcp_proxy_before_a_database_cuts_idle_connections() -> None:
    (proxy,) = loaded(config(tcp={"cluster": "pg"})).proxies
    assert (proxy.idle_timeout_s.known, proxy.idle_timeout_s.origin) == (3600, "default")
    assert (proxy.longest_s.known, proxy.upstreams) == (math.inf, ("db",))
    said = {"cluster": "pg", "idle_timeout": "300s", "max_downstream_connection_duration": "900s"}
    (proxy,) = loaded(config(tcp=said)).proxies
    assert (proxy.idle_timeout_s.known, proxy.longest_s.known) == (300, 900)
    assert loaded(config(tcp={"cluster": "app"})).proxies == ()


def test_nonsense_is_unknown_and_half_a_file_unread() -> None:
    for said in ("soon", "5", {"seconds": 5}):
        (gateway,) = loaded(config({"cluster": "app", "timeout": said})).gateways
        assert "not understood" in gateway.timeout_s.why
    (unread,) = read(envoy, "envoy.yaml", "static_resources: {clusters: [\n").unread
    assert "not valid YAML" in unread.why


def test_other_files_are_not_recognised() -> None:
    assert not envoy.recognises(source("app.yaml", "resources:\n  clusters: []\n"))
    assert not envoy.recognises(source("envoy.md", "static_resources: listeners"))


def test_no_secret_is_repeated() -> None:
    data = config(
        {
            "cluster": "app",
            "timeout": SECRET,
            "retry_policy": {"retry_on": "5xx", "num_retries": SECRET},
        }
    )
    data["static_resources"]["secrets"] = [{"name": "key", "inline_string": SECRET}]
    assert SECRET not in texts(loaded(data))


@given(
    st.recursive(
        st.none() | st.text(max_size=5) | st.integers(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "static_resources",
                        "listeners",
                        "clusters",
                        "filter_chains",
                        "filters",
                        "name",
                        "typed_config",
                        "route_config",
                        "virtual_hosts",
                        "routes",
                        "route",
                        "timeout",
                        "cluster",
                        "circuit_breakers",
                        "thresholds",
                        "load_assignment",
                        "endpoints",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=20,
    ),
    st.text(max_size=100),
)
def test_no_document_makes_it_fall(data: Any, text: str) -> None:
    envoy.load(source("envoy.yaml", yaml.safe_dump({"static_resources": data})))
    envoy.load(source("envoy.yaml", f"static_resources: {text}"))

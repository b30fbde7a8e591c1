"""The control API: what it shows, what it changes, and everything it refuses."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from auth_service.gateway.app import Gateway
from auth_service.gateway.control import control_app
from auth_service.gateway.metrics import GatewayMetrics
from auth_service.gateway.state import State, Upstream

pytestmark = pytest.mark.anyio

UPSTREAMS = (
    Upstream(name="replica-1", url="http://127.0.0.1:1"),
    Upstream(name="replica-2", url="http://127.0.0.1:2", weight=2.0),
    Upstream(name="spare", url="http://127.0.0.1:3", backup=True),
)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def metrics() -> GatewayMetrics:
    return GatewayMetrics()


@pytest.fixture
async def gateway(metrics: GatewayMetrics) -> AsyncIterator[Gateway]:
    gateway = Gateway(State(upstreams=UPSTREAMS), metrics, connect_timeout_s=1.0)
    yield gateway
    await gateway.close()


@pytest.fixture
async def control(gateway: Gateway, metrics: GatewayMetrics) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(control_app(gateway, metrics))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://control", verify=False
    ) as client:
        yield client


def problems(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert (document["status"], document["code"]) == (422, "invalid_request")
    assert document["detail"]
    return {each["field"]: each["message"] for each in document["problems"]}


async def test_it_shows_the_whole_state(control: httpx.AsyncClient) -> None:
    assert (await control.get("/control")).json() == {
        "upstreams": [
            {
                "name": "replica-1",
                "url": "http://127.0.0.1:1",
                "weight": 1.0,
                "backup": False,
                "in_flight": {},
            },
            {
                "name": "replica-2",
                "url": "http://127.0.0.1:2",
                "weight": 2.0,
                "backup": False,
                "in_flight": {},
            },
            {
                "name": "spare",
                "url": "http://127.0.0.1:3",
                "weight": 1.0,
                "backup": True,
                "in_flight": {},
            },
        ],
        "timeout_s": 30.0,
        "connect_timeout_s": 1.0,
        "shedding": {"max_in_flight": None, "rate_per_s": None},
        "redirect": {"to_backup": False},
        "blocked": {"addresses": []},
        "in_flight": {},
    }


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("timeout", {"timeout_s": 2.5}),
        ("shedding", {"max_in_flight": 10, "rate_per_s": 99.5}),
        ("shedding", {"max_in_flight": None, "rate_per_s": None}),
        ("redirect", {"to_backup": True}),
        ("blocked", {"addresses": ["10.0.0.0/8", "2001:db8::/32"]}),
    ],
)
async def test_a_change_is_shown_and_kept(
    control: httpx.AsyncClient, path: str, body: dict[str, Any]
) -> None:
    answer = await control.put(f"/control/{path}", json=body)
    assert answer.status_code == 200
    state = answer.json()
    assert state.get(path, state) | body == state.get(path, state)
    assert (await control.get("/control")).json() == state


async def test_one_upstream_is_changed_and_the_others_stay(
    control: httpx.AsyncClient, gateway: Gateway
) -> None:
    before = gateway.state
    await control.patch("/control/upstreams/replica-2", json={"url": "http://[::1]:8000/"})
    await control.patch("/control/upstreams/replica-2", json={"weight": 0, "backup": True})
    assert gateway.state.upstreams == (
        UPSTREAMS[0],
        Upstream(name="replica-2", url="http://[::1]:8000", weight=0.0, backup=True),
        UPSTREAMS[2],
    )
    assert before.upstreams == UPSTREAMS, "a state is a value: the former one did not change"


async def test_the_upstreams_are_replaced(control: httpx.AsyncClient, gateway: Gateway) -> None:
    await control.put("/control/upstreams", json=[{"name": "a", "url": "http://db.internal:80"}])
    assert gateway.state.upstreams == (Upstream(name="a", url="http://db.internal:80"),)


async def test_all_problems_of_a_list_are_told_at_once(
    control: httpx.AsyncClient, gateway: Gateway
) -> None:
    answer = await control.put(
        "/control/upstreams",
        json=[
            {"name": "-", "url": "ftp://x"},
            {"name": "a", "url": "http://user:password@x:1"},
            {"name": "b", "url": "http://x:1/path", "weight": -1},
            {"name": "c", "url": "http://x:99999", "backup": "yes", "wieght": 2},
            {"url": 5},
        ],
    )
    found = problems(answer)
    assert sorted(found) == [
        "0.name",
        "0.url",
        "1.url",
        "2.url",
        "2.weight",
        "3.backup",
        "3.url",
        "3.wieght",
        "4.name",
        "4.url",
    ]
    assert found["0.url"] == "must be http://HOST:PORT or https://HOST:PORT"
    assert found["1.url"] == "must not carry a user or a password"
    assert gateway.state.upstreams == UPSTREAMS


@pytest.mark.parametrize(
    ("method", "path", "body", "fields"),
    [
        ("PUT", "upstreams", "[]", [""]),
        ("PUT", "upstreams", "{}", [""]),
        ("PUT", "upstreams", "not json", [""]),
        ("PUT", "timeout", "", [""]),
        ("PUT", "timeout", "{}", ["timeout_s"]),
        ("PUT", "timeout", '{"timeout_s": 0}', ["timeout_s"]),
        ("PUT", "timeout", '{"timeout_s": "30"}', ["timeout_s"]),
        ("PUT", "timeout", '{"timeout_s": NaN}', ["timeout_s"]),
        ("PUT", "timeout", '{"timeout": 3}', ["timeout_s", "timeout"]),
        (
            "PUT",
            "shedding",
            '{"max_in_flight": 0, "rate_per_s": 0}',
            ["max_in_flight", "rate_per_s"],
        ),
        ("PUT", "shedding", '{"max_in_flight": 1.5}', ["max_in_flight"]),
        ("PUT", "redirect", '{"to_backup": "true"}', ["to_backup"]),
        (
            "PUT",
            "blocked",
            '{"addresses": ["10.0.0.1/8", "x", 5, "10.0.0.1"]}',
            ["addresses.0", "addresses.1", "addresses.2"],
        ),
        ("PATCH", "upstreams/spare", '{"name": "other"}', ["name"]),
        ("PATCH", "upstreams/spare", '{"url": null, "weight": null}', ["url", "weight"]),
    ],
)
async def test_a_bad_body_changes_nothing(
    control: httpx.AsyncClient,
    gateway: Gateway,
    method: str,
    path: str,
    body: str,
    fields: list[str],
) -> None:
    before = gateway.state
    answer = await control.request(method, f"/control/{path}", content=body)
    assert list(problems(answer)) == fields
    assert gateway.state is before


async def test_a_name_that_occurs_twice_is_refused(control: httpx.AsyncClient) -> None:
    twice = [{"name": "a", "url": "http://x:1"}, {"name": "a", "url": "http://x:2"}]
    answer = await control.put("/control/upstreams", json=twice)
    assert problems(answer) == {"": "each name once, but repeated: a"}


async def test_a_patch_of_nothing_is_refused(control: httpx.AsyncClient) -> None:
    answer = await control.patch("/control/upstreams/spare", json={})
    assert answer.status_code == 422
    assert answer.json()["detail"] == "give at least one of url, weight, backup"


async def test_the_backup_cannot_go_while_everybody_is_sent_to_it(
    control: httpx.AsyncClient,
) -> None:
    await control.put("/control/redirect", json={"to_backup": True})
    answer = await control.patch("/control/upstreams/spare", json={"weight": 0})
    assert "redirect.to_backup needs an upstream" in problems(answer)[""]


async def test_an_unknown_upstream_is_answered_with_those_there_are(
    control: httpx.AsyncClient,
) -> None:
    answer = await control.patch("/control/upstreams/replica-9", json={"weight": 1})
    assert answer.status_code == 404
    assert answer.json()["detail"] == (
        "no upstream is called replica-9; there are: replica-1, replica-2, spare"
    )


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/nowhere", 404, "not_found"), ("POST", "/control", 405, "method_not_allowed")],
)
async def test_other_addresses_are_problem_documents(
    control: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    answer = await control.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_every_change_is_logged_with_before_and_after(
    control: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "auth_service.gateway")
    await control.put("/control/timeout", json={"timeout_s": 5})
    await control.put("/control/timeout", json={"timeout_s": -5})
    await control.patch("/control/upstreams/spare", json={"weight": 3})
    await control.put("/control/reconnect")
    logged = [vars(record) for record in caplog.records if record.message == "state changed"]
    assert [each["change"] for each in logged] == ["timeout", "upstreams/spare", "reconnect"]
    assert json.loads(logged[0]["before"]) == {"timeout_s": 30.0}
    assert json.loads(logged[0]["after"]) == {"timeout_s": 5.0}
    assert json.loads(logged[1]["after"])["upstreams"][2]["weight"] == 3.0


async def test_its_metrics_mirror_the_upstreams(control: httpx.AsyncClient) -> None:
    await control.patch("/control/upstreams/replica-1", json={"backup": True, "weight": 4})
    text = (await control.get("/metrics")).text
    weights = {
        (sample.labels["replica"], sample.labels["backup"]): sample.value
        for family in text_string_to_metric_families(text)
        if family.name == "gateway_upstream_weight"
        for sample in family.samples
    }
    assert weights == {
        ("replica-1", "true"): 4.0,
        ("replica-2", "false"): 2.0,
        ("spare", "true"): 1.0,
    }


async def test_it_is_healthy(control: httpx.AsyncClient) -> None:
    assert (await control.get("/healthz")).status_code == 200


# -- what Prometheus finds -----------------------------------------------------------------------


async def found(control: httpx.AsyncClient) -> list[tuple[str, str, str]]:
    """Address, name and generation of every target, as Prometheus reads them."""
    answer = await control.get("/control/targets")
    assert answer.headers["content-type"] == "application/json", "Prometheus insists on it"
    groups = answer.json()
    for group in groups:
        assert group.keys() == {"targets", "labels"}
        assert group["labels"]["job"] == "auth"
    return [
        (address, group["labels"]["instance"], group["labels"]["generation"])
        for group in groups
        for address in group["targets"]
    ]


async def test_every_replica_is_a_target_with_the_labels_of_a_run(
    control: httpx.AsyncClient,
) -> None:
    assert await found(control) == [
        ("127.0.0.1:1", "replica-1", "1"),
        ("127.0.0.1:2", "replica-2", "1"),
        ("127.0.0.1:3", "spare", "1"),
    ]


async def test_a_replica_that_moves_keeps_its_name_and_counts_up(
    control: httpx.AsyncClient,
) -> None:
    """The same labels for two processes would look like a counter that is reset."""
    for url in ("http://next:80", "http://next:80", "http://127.0.0.1:2"):
        await control.patch("/control/upstreams/replica-2", json={"url": url, "weight": 1})
    assert (await found(control))[1] == ("127.0.0.1:2", "replica-2", "3")
    await control.put("/control/upstreams", json=[{"name": "other", "url": "http://x"}])
    await control.put("/control/upstreams", json=[{"name": "replica-2", "url": "http://y"}])
    assert await found(control) == [("y:80", "replica-2", "4")], "it was away, and counts on"


async def test_a_replaced_replica_is_a_target_while_it_works_off_what_it_has(
    control: httpx.AsyncClient, gateway: Gateway
) -> None:
    with gateway.client.exchange(UPSTREAMS[0]):
        await control.patch("/control/upstreams/replica-1", json={"url": "http://new:8000"})
        assert (await found(control))[:2] == [
            ("new:8000", "replica-1", "2"),
            ("127.0.0.1:1", "replica-1", "1"),
        ]
    assert (await found(control))[:2] == [
        ("new:8000", "replica-1", "2"),
        ("127.0.0.1:2", "replica-2", "1"),
    ]


async def test_addresses_are_spelled_as_prometheus_wants_them(control: httpx.AsyncClient) -> None:
    await control.put(
        "/control/upstreams",
        json=[{"name": "a", "url": "https://safe"}, {"name": "b", "url": "http://[::1]:8000"}],
    )
    assert [address for address, *_ in await found(control)] == ["safe:443", "[::1]:8000"]
    safe, plain = (await control.get("/control/targets")).json()
    assert safe["labels"]["__scheme__"] == "https"
    assert "__scheme__" not in plain["labels"], "http is what Prometheus assumes"

"""How many different clients the gateway sees."""

from __future__ import annotations

from contextlib import AsyncExitStack
from ipaddress import ip_network

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auth_service.gateway import clients
from auth_service.gateway.app import Gateway
from auth_service.gateway.clients import WINDOW_S, DistinctClients
from auth_service.gateway.control import control_app
from auth_service.gateway.metrics import GatewayMetrics
from auth_service.gateway.state import Blocked, State, Upstream

START_S = 1000.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_a_window_is_told_when_it_is_full() -> None:
    """Each client once, however often it asks; nothing of a window that still runs."""
    seen = DistinctClients(START_S)
    for client in ("a", "b", "a", "a"):
        seen.came(client, START_S + 1)
    assert seen.last(START_S + 4.9) == 0
    assert seen.last(START_S + 5) == 2
    seen.came("c", START_S + 6)
    assert seen.last(START_S + 9.9) == 2
    assert seen.last(START_S + 10) == 1


def test_who_stays_away_is_not_counted_again() -> None:
    """After a window without a request the count is 0, also when nobody asked meanwhile."""
    seen = DistinctClients(START_S)
    seen.came("a", START_S)
    assert seen.last(START_S + 10) == 0
    seen.came("a", START_S + 23)
    assert seen.last(START_S + 25) == 1
    assert seen.last(START_S + 30) == 0


def test_memory_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past it the count stands still, and the next window counts again."""
    monkeypatch.setattr(clients, "MOST", 3)
    seen = DistinctClients(START_S)
    for number in range(10):
        seen.came(f"10.0.0.{number}", START_S)
    assert len(seen._seen) == 3
    seen.came("10.0.0.1", START_S + 5)
    assert seen.last(START_S + 5) == 3
    assert seen.last(START_S + 10) == 1


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.floats(0, 30), st.sampled_from("abcdef")), max_size=40),
    st.floats(0, 30),
)
def test_the_count_is_that_of_the_last_full_window(
    requests: list[tuple[float, str]], asked_s: float
) -> None:
    """Whatever came when, and however seldom anybody asked."""
    seen = DistinctClients(0.0)
    came = sorted(request for request in requests if request[0] <= asked_s)
    for at_s, client in came:
        seen.came(client, at_s)
    window = asked_s // WINDOW_S - 1
    expected = {client for at_s, client in came if at_s // WINDOW_S == window}
    assert seen.last(asked_s) == len(expected)


@pytest.mark.anyio
async def test_the_metrics_page_tells_how_many_clients_there_were() -> None:
    """By the address that blocking goes by; those turned away have come as well."""
    now_s = [START_S]
    metrics = GatewayMetrics(clock=lambda: now_s[0])
    state = State(
        # Weight 0: no request gets further than the gateway.
        upstreams=(Upstream(name="replica-1", url="http://127.0.0.1:1", weight=0.0),),
        blocked=Blocked(addresses=(ip_network("10.0.0.0/8"),)),
    )
    gateway = Gateway(state, metrics, connect_timeout_s=1.0)

    def client(app: object) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
        return httpx.AsyncClient(transport=transport, base_url="http://gateway")

    async with (
        AsyncExitStack() as at_end,
        client(gateway) as public,
        client(control_app(gateway, metrics)) as control,
    ):
        at_end.push_async_callback(gateway.close)

        async def shown() -> str:
            lines = (await control.get("/metrics")).text.splitlines()
            return next(line for line in lines if line.startswith("gateway_distinct_clients "))

        assert await shown() == "gateway_distinct_clients 0.0"
        for chain in ("198.51.100.7, 10.1.1.1", "198.51.100.7", "198.51.100.8", "10.1.2.3"):
            await public.get("/", headers={"X-Forwarded-For": chain})
        answer = await public.get("/")  # its address is its peer's
        assert answer.status_code == 503
        assert await shown() == "gateway_distinct_clients 0.0"
        now_s[0] += WINDOW_S
        assert await shown() == "gateway_distinct_clients 4.0"
        now_s[0] += WINDOW_S
        assert await shown() == "gateway_distinct_clients 0.0"

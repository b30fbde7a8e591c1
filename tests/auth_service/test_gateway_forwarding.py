"""The gateway between a real client and real replicas, on sockets."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import uvicorn
from aiohttp import web
from aiohttp.test_utils import TestServer
from starlette.types import Message, Scope

from auth_service.gateway.app import MAX_BODY_BYTES, Gateway
from auth_service.gateway.control import control_app
from auth_service.gateway.exchange import BUFFER_BYTES
from auth_service.gateway.metrics import GatewayMetrics
from auth_service.gateway.state import State, Upstream

pytestmark = pytest.mark.anyio

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PATIENCE_S = 10.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def until(what: str, condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, f"waited in vain until {what}"
        await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def replica(handler: Handler) -> AsyncIterator[str]:
    """A replica that answers everything with ``handler``; its base URL."""
    application = web.Application(client_max_size=MAX_BODY_BYTES * 2)
    application.router.add_route("*", "/{path:.*}", handler)
    server = TestServer(application)
    # It cancels the handler of a client that hung up: that is how a test can see it.
    await server.start_server()
    try:
        yield str(server.make_url("")).rstrip("/")
    finally:
        await server.close()


class Gate:
    """A replica's handler that holds every request until it is opened."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.waiting = 0
        self.abandoned = 0
        self._open = asyncio.Event()

    def open(self) -> None:
        self._open.set()

    async def hold(self, request: web.Request) -> web.StreamResponse:
        self.waiting += 1
        try:
            await self._open.wait()
        except asyncio.CancelledError:
            self.abandoned += 1
            raise
        finally:
            self.waiting -= 1
        return web.Response(text=self.name, headers={"X-Replica": self.name})


def naming(name: str) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(text=name, headers={"X-Replica": name})

    return handler


@dataclass(frozen=True)
class Edge:
    """A running gateway: ``http`` speaks to it as clients do, ``control`` to its control API."""

    gateway: Gateway
    http: httpx.AsyncClient
    control: httpx.AsyncClient
    port: int
    metrics: GatewayMetrics

    def counted(self, code: int, replica: str) -> float:
        labels = {"code": str(code), "replica": replica}
        return self.metrics.registry.get_sample_value("gateway_requests_total", labels) or 0.0

    def in_flight(self, replica: str) -> float:
        value = self.metrics.registry.get_sample_value("gateway_in_flight", {"replica": replica})
        assert value is not None
        return value

    async def in_flight_urls(self) -> dict[str, int]:
        shown = (await self.control.get("/control")).json()["in_flight"]
        assert isinstance(shown, dict)
        return shown


@contextlib.asynccontextmanager
async def edge(
    *upstreams: Upstream, timeout_s: float = 30.0, connect_timeout_s: float = 1.0
) -> AsyncIterator[Edge]:
    metrics = GatewayMetrics()
    state = State(upstreams=upstreams, timeout_s=timeout_s)
    gateway = Gateway(state, metrics, connect_timeout_s)
    config = uvicorn.Config(
        gateway, log_config=None, access_log=False, proxy_headers=False, http="httptools", ws="none"
    )
    server = uvicorn.Server(config)
    # What serve() does, without its signal handlers and its ticks of a tenth of a second.
    config.load()
    server.lifespan = config.lifespan_class(config)
    # The protocol must be named: without it asyncio leaves Nagle's algorithm on, 40 ms an answer.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        await server.startup(sockets=[bound])
        try:
            async with (
                httpx.AsyncClient(
                    base_url=f"http://127.0.0.1:{port}",
                    limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
                    timeout=PATIENCE_S,
                    verify=False,  # spares every test the loading of certificates
                ) as http,
                httpx.AsyncClient(
                    base_url="http://control",
                    transport=httpx.ASGITransport(control_app(gateway, metrics)),
                    verify=False,
                ) as control,
            ):
                yield Edge(gateway, http, control, port, metrics)
        finally:
            await server.shutdown(sockets=[bound])


def one(url: str, name: str = "replica-1", **fields: Any) -> Upstream:
    return Upstream(name=name, url=url, **fields)


def is_problem(answer: httpx.Response, status: int, code: str, replica: str) -> bool:
    document = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, document["status"]) == (status, status)
    assert (document["code"], answer.headers["x-replica"]) == (code, replica)
    return True


async def echo(request: web.Request) -> web.StreamResponse:
    return web.json_response(
        {
            "method": request.method,
            "target": request.raw_path,
            "headers": sorted((name.lower(), value) for name, value in request.headers.items()),
            "body": (await request.read()).decode(),
        },
        headers={"X-Replica": "replica-1"},
    )


async def test_a_request_arrives_as_it_was_sent() -> None:
    async with replica(echo) as url, edge(one(url)) as running:
        request = httpx.Request(
            "POST",
            f"http://127.0.0.1:{running.port}/a%2Fb%20c/..//d?q=%26+x&q=",
            headers=[
                ("Host", "login.example"),
                ("X-User", "user000001"),
                ("X-Forwarded-For", "198.51.100.7"),
                ("Accept", "a/b"),
                ("Accept", "c/d"),
                ("Connection", "x-hop"),
                ("X-Hop", "1"),
            ],
            content=b"hello",
            extensions={"target": b"/a%2Fb%20c/..//d?q=%26+x&q="},
        )
        answer = await running.http.send(request)
        assert answer.json() == {
            "method": "POST",
            "target": "/a%2Fb%20c/..//d?q=%26+x&q=",
            "headers": [
                ["accept", "a/b"],
                ["accept", "c/d"],
                ["content-length", "5"],
                ["host", "login.example"],
                ["x-forwarded-for", "198.51.100.7, 127.0.0.1"],
                ["x-user", "user000001"],
            ],
            "body": "hello",
        }
        assert answer.headers["x-replica"] == "replica-1"
        assert running.counted(200, "replica-1") == 1


async def test_every_method_passes() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(text="seven b", headers={"X-Method": request.method})

    async with replica(handler) as url, edge(one(url)) as running:
        for method in ("GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH"):
            answer = await running.http.request(method, "/session")
            assert answer.headers["x-method"] == method
            assert answer.headers["content-length"] == "7"
            assert answer.text == ("" if method == "HEAD" else "seven b")


async def test_an_answer_arrives_as_it_was_given() -> None:
    packed = gzip.compress(b"packed")

    async def handler(request: web.Request) -> web.StreamResponse:
        answer = web.Response(status=302, body=packed)
        answer.headers.add("Location", "/elsewhere")
        answer.headers.add("Content-Encoding", "gzip")
        answer.headers.add("Set-Cookie", "a=1")
        answer.headers.add("Set-Cookie", "b=2")
        return answer

    async with replica(handler) as url, edge(one(url)) as running:
        async with running.http.stream("GET", "/") as answer:
            raw = b"".join([chunk async for chunk in answer.aiter_raw()])
        assert (answer.status_code, raw) == (302, packed)
        assert answer.headers["location"] == "/elsewhere"
        assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]


async def test_a_cookie_of_one_client_does_not_reach_the_next_request() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(
            text=request.headers.get("Cookie", "none"), headers={"Set-Cookie": "session=1"}
        )

    async with replica(handler) as url, edge(one(url.replace("127.0.0.1", "localhost"))) as running:
        for _ in range(2):
            assert (await running.http.get("/")).text == "none"
            running.http.cookies.clear()


async def test_an_answer_without_a_body_stays_without() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(status=204)

    async with replica(handler) as url, edge(one(url)) as running:
        answer = await running.http.post("/logout")
        assert (answer.status_code, answer.content) == (204, b"")
        assert "content-length" not in answer.headers


def body_of(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


async def test_answers_of_any_length_arrive_whole() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        answer = web.Response(body=body_of(int(request.query["size"])))
        if "chunked" in request.query:
            answer.enable_chunked_encoding()
        return answer

    async with replica(handler) as url, edge(one(url)) as running:
        for size in (0, 1, BUFFER_BYTES, BUFFER_BYTES + 1, 20 * BUFFER_BYTES):
            for query in (f"?size={size}", f"?size={size}&chunked"):
                answer = await running.http.get(query)
                assert answer.content == body_of(size), query


async def test_a_user_stays_and_users_spread() -> None:
    async with (
        replica(naming("a")) as a,
        replica(naming("b")) as b,
        edge(one(a, "a"), one(b, "b")) as running,
    ):
        users = [f"user{i:06d}" for i in range(30)]
        served = [
            (await running.http.get("/", headers={"X-User": user})).text for user in users * 2
        ]
        assert served[:30] == served[30:]
        assert set(served) == {"a", "b"}


async def test_without_a_user_the_address_sticks() -> None:
    async with (
        replica(naming("a")) as a,
        replica(naming("b")) as b,
        edge(one(a, "a"), one(b, "b")) as running,
    ):
        addresses = [f"10.0.0.{i}" for i in range(30)]
        served = [
            (await running.http.get("/", headers={"X-Forwarded-For": address})).text
            for address in addresses * 2
        ]
        assert served[:30] == served[30:]
        assert set(served) == {"a", "b"}


async def test_a_slow_replica_is_a_504_and_its_request_is_given_up() -> None:
    gate = Gate("replica-1")
    async with replica(gate.hold) as url, edge(one(url), timeout_s=0.2) as running:
        began_s = time.monotonic()
        answer = await running.http.get("/")
        assert 0.19 < time.monotonic() - began_s < 5.0
        assert is_problem(answer, 504, "gateway_timeout", "replica-1")
        assert answer.json()["detail"] == f"replica-1 at {url} did not answer within 0.2 s"
        assert running.counted(504, "replica-1") == 1
        assert running.in_flight("replica-1") == 0
        await until("the replica's request is abandoned", lambda: gate.abandoned == 1)


async def test_a_replica_that_stalls_in_its_answer_is_a_504() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"half an ans")
        await asyncio.Event().wait()
        return answer

    async with replica(handler) as url, edge(one(url), timeout_s=0.2) as running:
        assert is_problem(await running.http.get("/"), 504, "gateway_timeout", "replica-1")


async def test_a_long_answer_that_stalls_is_cut_short_not_completed() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"x" * (BUFFER_BYTES + 1))
        await asyncio.Event().wait()
        return answer

    async with replica(handler) as url, edge(one(url), timeout_s=0.2) as running:
        with pytest.raises(httpx.RemoteProtocolError):
            await running.http.get("/")
        await until("nothing is in flight", lambda: running.in_flight("replica-1") == 0)


async def test_a_changed_timeout_is_for_the_requests_that_follow() -> None:
    gate = Gate("replica-1")
    async with replica(gate.hold) as url, edge(one(url), timeout_s=30) as running:
        before = asyncio.create_task(running.http.get("/"))
        await until("the first request waits", lambda: gate.waiting == 1)
        await running.control.put("/control/timeout", json={"timeout_s": 0.1})
        assert is_problem(await running.http.get("/"), 504, "gateway_timeout", "replica-1")
        gate.open()
        assert (await before).status_code == 200


async def test_a_dead_replica_is_a_502() -> None:
    with socket.socket() as nobody:  # bound, but it does not listen
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        async with edge(one(url)) as running:
            answer = await running.http.post("/login", content=b"{}")
            assert is_problem(answer, 502, "upstream_unreachable", "replica-1")
            assert url in answer.json()["detail"]
            assert running.counted(502, "replica-1") == 1


async def test_a_replica_that_does_not_accept_is_a_502_after_the_connect_timeout() -> None:
    with contextlib.ExitStack() as stack:
        deaf = stack.enter_context(socket.socket())
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for _ in range(4):  # fills the accept queue: further connections get no answer
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        async with edge(one(url), connect_timeout_s=0.2) as running:
            began_s = time.monotonic()
            answer = await running.http.get("/")
            assert time.monotonic() - began_s < 5.0
            assert is_problem(answer, 502, "upstream_unreachable", "replica-1")


async def test_a_replica_that_hangs_up_is_a_502() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with (
        server,
        edge(one(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")) as running,
    ):
        answer = await running.http.get("/")
        assert is_problem(answer, 502, "upstream_unreachable", "replica-1")


async def test_a_new_url_takes_new_requests_while_the_old_one_finishes_its_own() -> None:
    old, new = Gate("old"), Gate("new")
    new.open()
    async with (
        replica(old.hold) as old_url,
        replica(new.hold) as new_url,
        edge(one(old_url)) as running,
    ):
        held = asyncio.create_task(running.http.get("/"))
        await until("the old replica holds a request", lambda: old.waiting == 1)
        patched = await running.control.patch("/control/upstreams/replica-1", json={"url": new_url})
        assert patched.json()["upstreams"][0]["in_flight"] == {old_url: 1}
        assert (await running.http.get("/")).text == "new"
        assert await running.in_flight_urls() == {old_url: 1}
        old.open()
        assert (await held).text == "old"
        assert await running.in_flight_urls() == {}, "the old replica is drained"


async def test_a_removed_upstream_is_shown_until_it_has_drained() -> None:
    old = Gate("old")
    async with (
        replica(old.hold) as old_url,
        replica(naming("new")) as new_url,
        edge(one(old_url)) as running,
    ):
        held = asyncio.create_task(running.http.get("/"))
        await until("the old replica holds a request", lambda: old.waiting == 1)
        others = [{"name": "replica-2", "url": new_url}]
        await running.control.put("/control/upstreams", json=others)
        assert (await running.http.get("/")).text == "new"
        assert await running.in_flight_urls() == {old_url: 1}
        old.open()
        assert (await held).text == "old"
        assert await running.in_flight_urls() == {}


async def test_above_the_cap_requests_are_shed_until_there_is_room() -> None:
    gate = Gate("replica-1")
    async with replica(gate.hold) as url, edge(one(url)) as running:
        await running.control.put("/control/shedding", json={"max_in_flight": 1})
        held = asyncio.create_task(running.http.get("/"))
        await until("one request is in flight", lambda: gate.waiting == 1)
        answer = await running.http.get("/")
        assert is_problem(answer, 503, "shed", "-")
        assert answer.headers["retry-after"] == "1"
        gate.open()
        await held
        assert (await running.http.get("/")).status_code == 200
        assert running.counted(503, "-") == 1


async def test_above_the_rate_requests_are_shed_until_it_is_lifted() -> None:
    async with replica(naming("a")) as url, edge(one(url)) as running:
        await running.control.put("/control/shedding", json={"rate_per_s": 0.01})
        assert (await running.http.get("/")).status_code == 200
        assert is_problem(await running.http.get("/"), 503, "shed", "-")
        await running.control.put("/control/shedding", json={"rate_per_s": None})
        assert (await running.http.get("/")).status_code == 200


async def test_blocked_addresses_are_refused_until_they_are_unblocked() -> None:
    async with replica(naming("a")) as url, edge(one(url)) as running:
        await running.control.put("/control/blocked", json={"addresses": ["10.0.0.0/8"]})
        culprit = {"X-Forwarded-For": "10.1.2.3, 198.51.100.7"}
        answer = await running.http.get("/", headers=culprit)
        assert is_problem(answer, 403, "blocked", "-")
        assert (await running.http.get("/")).status_code == 200
        await running.control.put("/control/blocked", json={"addresses": ["127.0.0.1"]})
        assert is_problem(await running.http.get("/"), 403, "blocked", "-")
        assert (await running.http.get("/", headers=culprit)).status_code == 200


async def test_a_redirect_sends_everybody_to_the_backup_and_back() -> None:
    async with (
        replica(naming("main")) as main,
        replica(naming("spare")) as spare,
        edge(one(main, "main"), one(spare, "spare", backup=True)) as running,
    ):
        assert (await running.http.get("/")).text == "main"
        await running.control.put("/control/redirect", json={"to_backup": True})
        assert (await running.http.get("/")).text == "spare"
        await running.control.put("/control/redirect", json={"to_backup": False})
        assert (await running.http.get("/")).text == "main"


async def test_without_any_weight_there_is_no_upstream() -> None:
    async with edge(one("http://127.0.0.1:1", weight=0.0)) as running:
        answer = await running.http.get("/")
        assert is_problem(answer, 503, "no_upstream", "-")
        assert running.counted(503, "-") == 1


async def test_a_body_above_the_limit_is_refused_declared_or_not() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(17):
            yield b"x" * (MAX_BODY_BYTES // 16)

    async with replica(echo) as url, edge(one(url)) as running:
        largest = await running.http.post("/", content=b"x" * MAX_BODY_BYTES)
        assert len(largest.json()["body"]) == MAX_BODY_BYTES
        declared = await running.http.post("/", content=b"x" * (MAX_BODY_BYTES + 1))
        assert is_problem(declared, 413, "invalid_request", "-")
        chunked = await running.http.post("/", content=chunks())
        assert is_problem(chunked, 413, "invalid_request", "-")
        assert running.counted(413, "-") == 2


async def test_a_client_that_leaves_takes_its_request_along() -> None:
    gate = Gate("replica-1")
    async with replica(gate.hold) as url, edge(one(url)) as running:
        leaving = asyncio.create_task(running.http.post("/login", content=b"{}"))
        await until("the request is at the replica", lambda: gate.waiting == 1)
        assert running.in_flight("replica-1") == 1
        leaving.cancel()
        await until("the replica's request is abandoned", lambda: gate.abandoned == 1)
        await until("it is counted as left", lambda: running.counted(499, "replica-1") == 1)
        assert running.in_flight("replica-1") == 0
        assert running.gateway.client.in_flight == 0
        gate.open()
        assert (await running.http.get("/")).status_code == 200


async def test_connections_are_reused_until_told_to_reconnect() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        return web.Response(text=str(request.transport.get_extra_info("peername")))

    async with replica(handler) as url, edge(one(url)) as running:
        first = (await running.http.get("/")).text
        assert (await running.http.get("/")).text == first
        assert (await running.control.put("/control/reconnect")).status_code == 200
        after = await running.http.get("/")
        assert after.status_code == 200
        assert after.text != first


async def test_a_reconnect_leaves_requests_in_flight_alone() -> None:
    gate = Gate("replica-1")
    async with replica(gate.hold) as url, edge(one(url)) as running:
        held = asyncio.create_task(running.http.get("/"))
        await until("the request is at the replica", lambda: gate.waiting == 1)
        await running.control.put("/control/reconnect")
        gate.open()
        assert (await held).text == "replica-1"


async def test_the_queue_forms_in_the_replica() -> None:
    """aiohttp holds back all but 100 requests by default: they would queue in the gateway."""
    gate = Gate("replica-1")
    async with replica(gate.hold) as url, edge(one(url)) as running:
        clients = [await asyncio.open_connection("127.0.0.1", running.port) for _ in range(120)]
        for _, writer in clients:
            writer.write(b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n")
        await until("all requests are at the replica", lambda: gate.waiting == 120)
        assert running.in_flight("replica-1") == 120
        gate.open()
        for reader, writer in clients:
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            writer.close()


async def test_a_target_that_would_name_another_host_is_refused() -> None:
    """ "http://127.0.0.1:1" + "@other-host/" is a URL of other-host."""
    metrics, sent = GatewayMetrics(), list[Message]()
    gateway = Gateway(State(upstreams=(one("http://127.0.0.1:1"),)), metrics, 1.0)
    scope: Scope = {
        "type": "http",
        "method": "GET",
        "headers": [],
        "raw_path": b"@other-host/",
        "query_string": b"",
        "client": ("127.0.0.1", 1),
    }

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await gateway(scope, receive, send)
    assert sent[0]["status"] == 422

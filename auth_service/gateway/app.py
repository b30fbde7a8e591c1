"""The gateway as an ASGI application: admits a request, forwards it, answers for a silent replica.

It is raw ASGI, not Starlette: it has one route, and a proxy pays for every layer on every request.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
from starlette.types import Receive, Scope, Send
from yarl import URL

from auth_service.gateway.answers import Refusal
from auth_service.gateway.exchange import Answer, ClientLeft, Exchange
from auth_service.gateway.headers import forwarded_fields, read_request
from auth_service.gateway.metrics import CLIENT_LEFT, GatewayMetrics
from auth_service.gateway.routing import choose, client_address, is_blocked
from auth_service.gateway.shedding import Shedder
from auth_service.gateway.state import State, Upstream
from auth_service.gateway.targets import Generations
from auth_service.gateway.upstream_client import UpstreamClient

MAX_BODY_BYTES = 1 << 20
"""Request bodies above it are refused with 413; nginx's ``client_max_body_size``."""

log = logging.getLogger(__name__)


def _target(scope: Scope) -> str:
    """Path and query as they came; refused if they cannot stand behind a base URL."""
    path = scope["raw_path"].decode("latin-1")
    if not path.startswith("/"):  # "@other-host/" behind a base URL would name another host
        raise Refusal("invalid_request", "the request target must start with /")
    query = scope["query_string"].decode("latin-1")
    return f"{path}?{query}" if query else path


async def _read_body(receive: Receive) -> bytes:
    """The whole body: read before a replica is chosen, so that a slow client costs no replica."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        body += message.get("body", b"")
        more = message.get("more_body", False)
        _refuse_oversize(len(body))
    return body


def _refuse_oversize(length: int) -> None:
    if length > MAX_BODY_BYTES:
        raise Refusal(
            "invalid_request", f"a body may have {MAX_BODY_BYTES} bytes at most", status=413
        )


class Gateway:
    """Forwards requests by its ``state``, which ``change`` replaces at any time.

    Runs in one event loop, so that deciding about a request (shedding, upstream, count) needs no
    lock: nothing awaits in between.
    """

    def __init__(self, state: State, metrics: GatewayMetrics, connect_timeout_s: float) -> None:
        self._state = state
        self._metrics = metrics
        self._connect_timeout_s = connect_timeout_s
        self._shedder = Shedder(state.shedding, time.monotonic())
        self._client: UpstreamClient | None = None
        self.generations = Generations()
        self.generations.note(state.upstreams)
        metrics.show(state)

    @property
    def state(self) -> State:
        """What the next request goes by."""
        return self._state

    @property
    def connect_timeout_s(self) -> float:
        """How long connecting to a replica may take."""
        return self._connect_timeout_s

    @property
    def client(self) -> UpstreamClient:
        """The connections to the replicas; made on first use, inside the event loop."""
        if self._client is None:
            self._client = UpstreamClient(self._connect_timeout_s)
        return self._client

    def change(self, what: str, state: State) -> None:
        """Go by ``state`` from the next request on; ``what`` names the change in the log."""
        before, self._state = self._state, state
        if state.shedding != before.shedding:
            self._shedder = Shedder(state.shedding, time.monotonic())
        self.generations.note(state.upstreams)
        self._metrics.show(state)
        old, new = before.model_dump(mode="json"), state.model_dump(mode="json")
        changed = [key for key in new if new[key] != old[key]]
        log.info(
            "state changed",
            extra={
                "change": what,
                "before": json.dumps({key: old[key] for key in changed}),
                "after": json.dumps({key: new[key] for key in changed}),
            },
        )

    def reconnect(self) -> None:
        """Use none of the present connections for new requests."""
        self.client.reconnect()
        log.info("state changed", extra={"change": "reconnect"})

    async def close(self) -> None:
        """Close the connections to the replicas."""
        if self._client is not None:
            await self._client.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; websockets are turned away, and the lifespan closes the client."""
        if scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1003})

    async def _live(self, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await self.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = Answer(send)
        try:
            peer = scope["client"][0] if scope.get("client") else "unknown"
            head = read_request(scope["headers"])
            client = client_address(head.forwarded_for, peer)
            self._metrics.came(client)
            path = _target(scope)
            if is_blocked(self._state.blocked, client, peer):
                raise Refusal("blocked", f"{client} is blocked")
            _refuse_oversize(head.content_length or 0)
            body = await _read_body(receive)
            upstream = self._admit(head.user or client.encode(), answer)
            with self._watched(upstream) as session:
                request = session.request(
                    scope["method"],
                    URL(upstream.url + path, encoded=True),
                    headers=forwarded_fields(head, peer),
                    data=body or None,
                    allow_redirects=False,
                )
                await Exchange(upstream, request, receive, answer).run(self._state.timeout_s)
        except Refusal as refusal:
            if answer.status is None:
                await answer.refuse(refusal)
            else:  # too late for another answer; to return early makes the server hang up
                log.warning(
                    "answer cut short", extra={"replica": answer.replica, "why": str(refusal)}
                )
        except ClientLeft:
            answer.status = CLIENT_LEFT
        finally:
            if answer.status is not None:
                self._metrics.answered(answer.status, answer.replica)

    def _admit(self, key: bytes, answer: Answer) -> Upstream:
        """The upstream for the user ``key``, noted in ``answer``; or the refusal."""
        shed = self._shedder.refusal(self.client.in_flight, time.monotonic())
        if shed is not None:
            raise Refusal("shed", shed)
        upstream = choose(self._state, key)
        if upstream is None:
            names = ", ".join(each.name for each in self._state.upstreams)
            raise Refusal("no_upstream", f"no upstream has a weight above 0: {names}")
        answer.replica = upstream.name
        return upstream

    @contextmanager
    def _watched(self, upstream: Upstream) -> Iterator[aiohttp.ClientSession]:
        began_s = time.monotonic()
        self._metrics.forwarding(upstream.name)
        try:
            with self.client.exchange(upstream) as session:
                yield session
        finally:
            self._metrics.forwarded(upstream.name, time.monotonic() - began_s)

"""One request at one replica, from its sending to the last byte of its answer."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any

import aiohttp
from starlette.types import Receive, Send

from auth_service.gateway.answers import Refusal
from auth_service.gateway.headers import returned_fields
from auth_service.gateway.metrics import NO_REPLICA
from auth_service.gateway.state import Upstream

BUFFER_BYTES = 64 * 1024
"""An answer up to this size is read to its end before any of it is sent on, so that a replica that
dies or stalls within it still ends as a clean 502 or 504. A longer one is streamed."""


class ClientLeft(Exception):  # noqa: N818 - an outcome, not a failure
    """Nobody waits for the answer any more."""


class Answer:
    """What one client was sent so far, and by which replica."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.replica = NO_REPLICA
        self.status: int | None = None

    async def begin(self, status: int, fields: list[tuple[bytes, bytes]]) -> None:
        self.status = status
        await self._send({"type": "http.response.start", "status": status, "headers": fields})

    async def body(self, chunk: bytes, *, more: bool) -> None:
        await self._send({"type": "http.response.body", "body": chunk, "more_body": more})

    async def refuse(self, refusal: Refusal) -> None:
        body = refusal.body()
        fields = [(k.encode(), v.encode()) for k, v in refusal.fields(self.replica).items()]
        await self.begin(refusal.status, [*fields, (b"content-length", b"%d" % len(body))])
        await self.body(body, more=False)


class Exchange:
    """One request at one replica: sent, awaited within the timeout, its answer passed on.

    A client that leaves takes its request along: the connection to the replica is closed, as nginx
    does by default (``proxy_ignore_client_abort off``). The service may finish its work all the
    same. The price is one task a request, which waits for the client's disconnect.
    """

    def __init__(
        self,
        upstream: Upstream,
        request: AbstractAsyncContextManager[aiohttp.ClientResponse],
        receive: Receive,
        answer: Answer,
    ) -> None:
        self._upstream = upstream
        self._request = request
        self._receive = receive
        self._answer = answer
        self._client_left = False

    async def run(self, timeout_s: float) -> None:
        """Answer the client within ``timeout_s``, or raise what happened instead."""
        server = asyncio.current_task()
        assert server is not None
        watcher = asyncio.get_running_loop().create_task(self._watch_client(server))
        timer = asyncio.timeout(timeout_s)
        try:
            async with timer, self._request as response:
                await self._relay(response, watcher)
        except asyncio.CancelledError:
            if not self._client_left:
                raise
            server.uncancel()
            raise ClientLeft from None
        except (aiohttp.ClientError, OSError) as error:
            raise self._failure(error, timeout_s if timer.expired() else None) from error
        finally:
            watcher.cancel()

    async def _watch_client(self, server: asyncio.Task[Any]) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._client_left = True
        server.cancel()

    async def _relay(self, response: aiohttp.ClientResponse, watcher: asyncio.Task[None]) -> None:
        content, status = response.content, response.status
        buffer = bytearray()
        while len(buffer) <= BUFFER_BYTES and (chunk := await content.readany()):
            buffer += chunk
        fields = returned_fields(response.raw_headers)
        complete = len(buffer) <= BUFFER_BYTES
        if complete and "content-length" not in response.headers and status not in (204, 304):
            fields.append((b"content-length", b"%d" % len(buffer)))
        await self._answer.begin(status, fields)
        if not complete:
            await self._answer.body(bytes(buffer), more=True)
            buffer.clear()
            while chunk := await content.readany():
                await self._answer.body(chunk, more=True)
        # The server calls the end of an answer a disconnect too.
        watcher.cancel()
        await self._answer.body(bytes(buffer), more=False)

    def _failure(self, error: Exception, timed_out_s: float | None) -> Refusal:
        where = f"{self._upstream.name} at {self._upstream.url}"
        if timed_out_s is not None:
            return Refusal("gateway_timeout", f"{where} did not answer within {timed_out_s:g} s")
        why = str(error) or type(error).__name__
        return Refusal("upstream_unreachable", f"{where}: {why}")

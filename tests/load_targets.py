"""Small loopback servers that behave in one way, each with its heal: they end with the `with`."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Target:
    """A running server; ``requests`` are the heads and bodies it has read."""

    port: int
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def serving(answer: Callable[[Target], Handler]) -> Iterator[Target]:
    """Run a server on an event loop of its own, in a thread."""
    loop = asyncio.new_event_loop()
    target = Target(0)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target.connections += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            target.requests.append(head + await reader.readexactly(length))
            await answer(target)(reader, writer)
        writer.close()

    async def begin() -> None:
        server = await asyncio.start_server(accept, "127.0.0.1", 0, backlog=1024)
        target.port = server.sockets[0].getsockname()[1]

    async def end() -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    loop.run_until_complete(begin())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield target
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def answering(
    status: int = 200, body: bytes = b"{}", headers: str = ""
) -> contextlib.AbstractContextManager[Target]:
    """Answers each request at once, and leaves closing to the client's wish."""
    return serving(lambda _: _responder(status, body, headers))


def deaf() -> contextlib.AbstractContextManager[Target]:
    """Accepts, reads, and never answers."""

    async def wait_for_client(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    return serving(lambda _: wait_for_client)


def dripping() -> contextlib.AbstractContextManager[Target]:
    """Sends a header line every 50 ms and never comes to an end."""

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while not writer.is_closing():
            writer.write(b"X-Drip: drop\r\n")
            await writer.drain()
            await asyncio.sleep(0.05)

    return serving(lambda _: drip)


def hanging_up() -> contextlib.AbstractContextManager[Target]:
    """Reads the request and closes the connection without a word."""

    async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    return serving(lambda _: close)


def breaking_off() -> contextlib.AbstractContextManager[Target]:
    """Promises more than it sends."""
    return serving(lambda _: _responder(200, b"{}", "", promised=10))


@dataclass
class Stall:
    """From ``begin_epoch`` to ``end_epoch`` a server answers nobody; set before the load starts."""

    begin_epoch: float = 0.0
    end_epoch: float = 0.0


def stalling(stall: Stall) -> contextlib.AbstractContextManager[Target]:
    """Answers at once, except during ``stall``: then when it is over."""
    respond = _responder(200, b"{}", "")

    async def maybe_wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if stall.begin_epoch <= time.time() < stall.end_epoch:
            await asyncio.sleep(stall.end_epoch - time.time())
        await respond(reader, writer)

    return serving(lambda _: maybe_wait)


@contextlib.contextmanager
def closed_port() -> Iterator[Target]:
    """A port that refuses: bound, so that nobody else gets it, and not listening."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield Target(holder.getsockname()[1])


def _responder(status: int, body: bytes, headers: str, *, promised: int | None = None) -> Handler:
    length = len(body) if promised is None else promised
    head = f"HTTP/1.1 {status} X\r\nX-Replica: replica-1\r\n{headers}Content-Length: {length}\r\n"

    async def respond(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head.encode() + b"\r\n" + body)
        await writer.drain()

    return respond

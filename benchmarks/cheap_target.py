"""A server that answers every request at once, so that what is measured is whoever asks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import cast

import uvloop

ANSWER = b"HTTP/1.1 200 OK\r\nX-Replica: cheap\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"


@contextlib.contextmanager
def cheap_target(*, core: int | None = None) -> Iterator[int]:
    """Run the server in a process of its own, on ``core`` alone if given; yields its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, "" if core is None else str(core)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


class _Cheap(asyncio.Protocol):
    """Any bytes are a request; one answer, and the connection closes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own class

    def data_received(self, data: bytes) -> None:
        self.transport.write(ANSWER)
        self.transport.close()


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Cheap, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)  # until whoever started us is gone


if __name__ == "__main__":
    if sys.argv[1]:
        os.sched_setaffinity(0, {int(sys.argv[1])})
    uvloop.run(_serve())

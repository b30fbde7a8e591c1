"""The gateway's side of the replicas: connections, headers, and who is in flight where."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp

from auth_service.gateway.state import Upstream

KEEPALIVE_S = 15.0
"""Idle connections live shorter here than at the replicas (``process.KEEP_ALIVE_S``). Otherwise
a request may be written to a connection that the replica is just closing: a needless 502."""

SKIPPED = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
"""What aiohttp would add of its own accord; a proxy passes on what the client said, and no more."""


class _Generation:
    """One set of connections; closed when the last request that uses it is over."""

    def __init__(self, connect_timeout_s: float) -> None:
        self.users = 0
        self.retired = False
        self.session = aiohttp.ClientSession(
            # No limit (the default is 100): requests queue in the replica, in front of its pool, as
            # behind any proxy. A limit here would hide that queue inside the gateway.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_S),
            # aiohttp rounds timeouts above the threshold up to whole seconds of its clock.
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=connect_timeout_s, ceil_threshold=float("inf")
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=SKIPPED,
        )


class UpstreamClient:
    """Connections to the replicas and the count of the requests that use them.

    Must be made and used inside a running event loop.
    """

    def __init__(self, connect_timeout_s: float) -> None:
        self._connect_timeout_s = connect_timeout_s
        self._generation = _Generation(connect_timeout_s)
        self._in_flight: Counter[tuple[str, str]] = Counter()
        self._total = 0
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def in_flight(self) -> int:
        """Requests that were sent to a replica and are not over."""
        return self._total

    def in_flight_by_url(self, name: str | None = None) -> dict[str, int]:
        """Requests in flight by base URL: of the upstream ``name``, or of all, gone ones too."""
        counts: dict[str, int] = {}
        for (owner, url), count in self._in_flight.items():
            if name is None or owner == name:
                counts[url] = counts.get(url, 0) + count
        return counts

    @contextmanager
    def exchange(self, upstream: Upstream) -> Iterator[aiohttp.ClientSession]:
        """The session to send one request to ``upstream`` with; counts it as in flight."""
        generation, place = self._generation, (upstream.name, upstream.url)
        generation.users += 1
        self._in_flight[place] += 1
        self._total += 1
        try:
            yield generation.session
        finally:
            self._total -= 1
            self._in_flight[place] -= 1
            if not self._in_flight[place]:
                del self._in_flight[place]
            generation.users -= 1
            self._close_if_unused(generation)

    def reconnect(self) -> None:
        """Let the connections go: every new request opens or reuses one made after this call.

        Those in use serve their request to its end. With none in use, all are closed at once.
        """
        generation, self._generation = self._generation, _Generation(self._connect_timeout_s)
        generation.retired = True
        self._close_if_unused(generation)

    def _close_if_unused(self, generation: _Generation) -> None:
        if generation.retired and not generation.users:
            task = asyncio.get_running_loop().create_task(generation.session.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Close every connection."""
        await self._generation.session.close()
        await asyncio.gather(*self._closing)

"""A badly written client: asks who is logged in, with a dead token, over and over."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections import Counter as Tally

import aiohttp
from prometheus_client import CollectorRegistry, Counter

from scenarios.bystander.pace import ticks

PATH = "/session"
MAX_CONNECTIONS = 4
NAMES = tuple(f"wallboard-{number}" for number in range(1, 17))
"""Users as the gateway routes them: enough for every replica to get its share."""

TIMEOUT_S = 60.0
"""Beyond any gateway's patience: who gives up and asks again leaves a second request in the
service's queue, and four connections would no longer mean four requests."""

NO_ANSWER = "-"
EXPECTED = "401"
REPORT_EVERY_S = 3.0

logger = logging.getLogger(__name__)


class ChattyClient:
    """Sends ``GET /session`` at ``rate_per_s``, at most four at a time.

    Open loop within that: what falls due while four are being answered is skipped and counted,
    and never made up for, because a backlog sent at once would be a surge of its own.
    """

    def __init__(
        self, target: str, rate_per_s: float, *, seed: int, registry: CollectorRegistry
    ) -> None:
        self._url = target + PATH
        self._rate_per_s = rate_per_s
        self._token = random.Random(seed).randbytes(32).hex()  # noqa: S311 - it opens nothing
        self._requests = Counter(
            "bystander_requests",
            "Requests by status answered (-: no answer).",
            ["code"],
            registry=registry,
        )
        for code in (EXPECTED, NO_ANSWER):
            self._requests.labels(code)
        self._skipped = Counter(
            "bystander_requests_skipped",
            "Requests that fell due while four others had no answer yet.",
            registry=registry,
        )
        self._in_flight = 0
        self._reported: Tally[str] = Tally()

    async def run(self) -> None:
        """Ask until cancelled."""
        names = itertools.cycle(NAMES)
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS),
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
                headers={"Authorization": f"Bearer {self._token}"},
            ) as session,
            asyncio.TaskGroup() as group,
        ):
            group.create_task(self._report())
            async for _ in ticks(self._rate_per_s):
                if self._in_flight >= MAX_CONNECTIONS:
                    self._skipped.inc()
                    continue
                self._in_flight += 1
                group.create_task(self._ask(session, next(names)))

    async def _ask(self, session: aiohttp.ClientSession, name: str) -> None:
        code, outcome = NO_ANSWER, ""
        try:
            async with session.get(self._url, headers={"X-User": name}) as response:
                await response.read()
                code = outcome = str(response.status)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            outcome = type(error).__name__
        finally:
            self._in_flight -= 1
        self._requests.labels(code).inc()
        self._reported[outcome] += 1

    async def _report(self) -> None:
        async for _ in ticks(1 / REPORT_EVERY_S):
            if self._reported:
                outcomes = sorted(self._reported.items())
                text = ", ".join(f"{outcome} ({count})" for outcome, count in outcomes)
                logger.warning("asked for %s and goes on asking: %s", PATH, text)
                self._reported.clear()

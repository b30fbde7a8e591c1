"""The service as an application in this process, and how a test talks to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette

SEEDED_USERS = 16
SOMEWHERE = "postgresql://user:secret@localhost:5432/nowhere"


async def eventually(what: str, condition: Callable[[], Awaitable[bool]]) -> None:
    """Let everything else get on until ``condition`` holds; fails with ``what`` after 5 s."""
    try:
        async with asyncio.timeout(5):
            while not await condition():  # noqa: ASYNC110 - for conditions without an event
                await asyncio.sleep(0)
    except TimeoutError:
        pytest.fail(f"waited in vain until {what}")


@dataclass
class Deployed:
    """A running application and how to talk to it."""

    app: Starlette
    client: httpx.AsyncClient

    async def login(
        self, username: str = "user000003", password: str = "correct horse 3"
    ) -> httpx.Response:
        return await self.client.post("/login", json={"username": username, "password": password})

    async def started(self) -> None:
        """Wait until the service has asked the database once, and is done with asking."""

        async def asked() -> bool:
            return (await self.client.get("/readyz")).json().get("reason") != "starting"

        await eventually("the service has asked the database", asked)

    async def metric(self, name: str, **labels: str) -> float:
        """The value of one series, as a scrape sees it."""
        text = (await self.client.get("/metrics")).text
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    return sample.value
        raise AssertionError(f"no series {name} {labels}")


@asynccontextmanager
async def deployed(app: Starlette) -> AsyncIterator[Deployed]:
    """``app`` with its lifespan around it."""
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            service = Deployed(app, client)
            await service.started()
            yield service


Deploy = Callable[..., AbstractAsyncContextManager[Deployed]]

"""The service as an application in this process, on a fake pool or on a real database."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from auth_service.app import create_app, pool_from_settings
from auth_service.settings import Settings
from tests.auth_service.deployed_service import SEEDED_USERS, SOMEWHERE, Deploy, Deployed, deployed
from tests.auth_service.fake_pool import CHEAP_HASH, FakeDatabase, FakePool


@pytest.fixture
def anyio_backend() -> str:
    """The async tests run on asyncio, as the service does."""
    return "asyncio"


@pytest.fixture
def database() -> FakeDatabase:
    """Eight users, no session."""
    return FakeDatabase.seeded()


@pytest.fixture
def pool(database: FakeDatabase) -> FakePool:
    """Five connections to ``database``."""
    return FakePool(database)


@pytest.fixture
def deploy(pool: FakePool) -> Deploy:
    """``async with deploy(**settings) as service``: the application on ``pool`` (or ``on=``)."""

    def start(on: FakePool = pool, **settings: Any) -> AbstractAsyncContextManager[Deployed]:
        def fake(settings: Settings, registry: CollectorRegistry) -> Any:
            return on

        settings = {"database_url": SOMEWHERE, "hash": CHEAP_HASH, **settings}
        return deployed(create_app(Settings(**settings), pool_factory=fake))

    return start


@pytest.fixture(scope="session")
def seeded_dsn(postgres_dsn: str) -> str:
    """A real database, seeded by the command itself."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AUTH_")},
        "AUTH_DATABASE_URL": postgres_dsn,
        "AUTH_HASH__TIME_COST": "1",
        "AUTH_HASH__MEMORY_KIB": "8",
    }
    subprocess.run(
        [sys.executable, "-m", "auth_service.accounts", "--users", str(SEEDED_USERS)],
        env=environment,
        check=True,
        timeout=60,
    )
    return postgres_dsn


@pytest.fixture
def deploy_on_postgres(seeded_dsn: str) -> Deploy:
    """``async with deploy_on_postgres(**settings) as service``: on the real, seeded database."""

    @asynccontextmanager
    async def start(**settings: Any) -> AsyncIterator[Deployed]:
        pools: list[Any] = []

        def remembered(settings: Settings, registry: CollectorRegistry) -> Any:
            pools.append(pool_from_settings(settings, registry))
            return pools[0]

        settings = {"database_url": seeded_dsn, "hash": CHEAP_HASH, **settings}
        app = create_app(Settings(**settings), pool_factory=remembered)
        async with deployed(app) as service:
            yield service
            # What a defect leaked would be found by the garbage collector in some other test.
            for connection in tuple(pools[0]._lent):
                await pools[0].release(connection)

    return start

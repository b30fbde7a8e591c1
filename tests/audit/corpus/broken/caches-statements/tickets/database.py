from __future__ import annotations

import os
from contextlib import asynccontextmanager

import asyncpg


class Database:
    def __init__(self) -> None:
        self.pool: asyncpg.Pool | None = None

    async def connect(self) -> None:
        self.pool = await asyncpg.create_pool(
            os.environ["DATABASE_URL"],
            min_size=int(os.environ.get("DB_POOL_MIN", 8)),
            max_size=int(os.environ.get("DB_POOL_MAX", 8)),
            timeout=3,
            command_timeout=float(os.environ.get("DB_COMMAND_TIMEOUT", 5)),
        )

    async def disconnect(self) -> None:
        if self.pool is not None:
            await self.pool.close()

    @asynccontextmanager
    async def connection(self):
        async with self.pool.acquire(timeout=2) as connection:
            yield connection


db = Database()

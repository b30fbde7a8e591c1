import asyncio
import os

import psycopg
from psycopg_pool import AsyncConnectionPool

URL = os.environ["DATABASE_URL"]
pool = AsyncConnectionPool(
    URL,
    min_size=10,
    max_size=10,
    timeout=3,
    max_waiting=50,
    max_lifetime=1800,
    check=AsyncConnectionPool.check_connection,
    open=False,
)


async def deliver(payload: str) -> None:
    async with pool.connection() as connection:
        await connection.execute("UPDATE outbox SET delivered = now() WHERE id = %s", (payload,))


async def main() -> None:
    async with pool, await psycopg.AsyncConnection.connect(URL, autocommit=True) as listener:
        await listener.execute("LISTEN outbox")
        async for notice in listener.notifies():
            await deliver(notice.payload)


if __name__ == "__main__":
    asyncio.run(main())

import os
from contextlib import asynccontextmanager

from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

SIZE = int(os.environ["POOL_MAX"])
# 2 x 3 x 10 = 60 of 77
pool = AsyncConnectionPool(
    os.environ["DATABASE_URL"],
    min_size=SIZE,
    max_size=SIZE,
    timeout=2,
    max_waiting=4 * SIZE,
    max_lifetime=1800,
    check=AsyncConnectionPool.check_connection,
    open=False,
)


async def quote(_request):
    async with pool.connection() as connection:
        cursor = await connection.execute("SELECT text FROM quotes ORDER BY random() LIMIT 1")
        row = await cursor.fetchone()
    return PlainTextResponse(row[0])


@asynccontextmanager
async def lifespan(_app):
    async with pool:
        yield


app = Starlette(routes=[Route("/", quote)], lifespan=lifespan)

import os
from contextlib import asynccontextmanager

from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

pool = AsyncConnectionPool(
    os.environ["DATABASE_URL"],
    min_size=12,
    max_size=12,
    max_waiting=60,
    max_lifetime=1800,
    check=AsyncConnectionPool.check_connection,
    open=False,
)


async def where(request):
    async with pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT place FROM parcels WHERE number = %s", (request.path_params["number"],)
        )
        row = await cursor.fetchone()
    return JSONResponse({"place": row[0]})


@asynccontextmanager
async def lifespan(_app):
    async with pool:
        yield


app = Starlette(routes=[Route("/parcels/{number}", where)], lifespan=lifespan)

import os
from contextlib import asynccontextmanager

from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

pool = AsyncConnectionPool(
    os.environ["DATABASE_URL"],
    min_size=10,
    max_size=10,
    timeout=1.5,
    max_waiting=60,
    max_lifetime=1800,
    check=AsyncConnectionPool.check_connection,
    kwargs={"connect_timeout": 3, "application_name": "checkout"},
)


@asynccontextmanager
async def lifespan(_: Starlette):
    async with pool:
        await pool.wait(timeout=20)
        yield


async def basket(request):
    try:
        async with pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT total FROM baskets WHERE id = %s", (request.path_params["id"],)
            )
            row = await cursor.fetchone()
    except (PoolTimeout, TooManyRequests):
        return Response(status_code=503, headers={"Retry-After": "1"})
    return JSONResponse({"total": row[0]} if row else None)


app = Starlette(routes=[Route("/baskets/{id:int}", basket)], lifespan=lifespan)

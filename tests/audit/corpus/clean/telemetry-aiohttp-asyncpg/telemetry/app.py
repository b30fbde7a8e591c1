import os
from collections.abc import AsyncIterator

import asyncpg
from aiohttp import web

POOL: web.AppKey[asyncpg.Pool] = web.AppKey("pool", asyncpg.Pool)


async def database(app: web.Application) -> AsyncIterator[None]:
    app[POOL] = await asyncpg.create_pool(
        dsn=os.environ["TELEMETRY_DSN"],
        min_size=15,
        max_size=15,
        timeout=4,
        command_timeout=5,
        max_inactive_connection_lifetime=240,
    )
    yield
    await app[POOL].close()


async def ingest(request: web.Request) -> web.Response:
    body = await request.json()
    async with request.app[POOL].acquire(timeout=2) as connection:
        await connection.execute(
            "insert into sample (device, value) values ($1, $2)", body["device"], body["value"]
        )
    return web.Response(status=202)


async def latest(request: web.Request) -> web.Response:
    device = request.match_info["device"]
    async with request.app[POOL].acquire(timeout=2) as connection:
        value = await connection.fetchval(
            "select value from sample where device = $1 order by id desc limit 1", device
        )
    return web.json_response({"value": value})


def make_app() -> web.Application:
    app = web.Application()
    app.cleanup_ctx.append(database)
    app.router.add_post("/samples", ingest)
    app.router.add_get("/samples/{device}", latest)
    return app

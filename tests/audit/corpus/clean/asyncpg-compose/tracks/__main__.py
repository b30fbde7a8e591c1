import os

import asyncpg
from aiohttp import web

POOL = web.AppKey("pool", asyncpg.Pool)


async def with_pool(app: web.Application):
    size = int(os.environ.get("POOL_SIZE", "10"))
    async with asyncpg.create_pool(
        min_size=size,
        max_size=size,
        timeout=3,
        command_timeout=5,
        max_inactive_connection_lifetime=300,
        server_settings={"application_name": "tracks"},
    ) as pool:
        app[POOL] = pool
        yield


async def track(request: web.Request) -> web.Response:
    try:
        async with request.app[POOL].acquire(timeout=1.5) as connection:
            row = await connection.fetchrow(
                "SELECT title, seconds FROM tracks WHERE id = $1", int(request.match_info["id"])
            )
    except TimeoutError:
        raise web.HTTPServiceUnavailable(headers={"Retry-After": "1"}) from None
    if row is None:
        raise web.HTTPNotFound
    return web.json_response(dict(row))


app = web.Application()
app.cleanup_ctx.append(with_pool)
app.router.add_get(r"/tracks/{id:\d+}", track)

if __name__ == "__main__":
    web.run_app(app, port=8080)

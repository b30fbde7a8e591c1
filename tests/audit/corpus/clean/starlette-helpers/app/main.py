from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from app.db import pool, write_audit


async def seen(connection, user: int) -> None:
    await connection.execute("UPDATE members SET seen_at = now() WHERE id = %s", (user,))


async def rename(request):
    user = int(request.path_params["user"])
    body = await request.json()
    async with pool.connection() as connection:
        await connection.execute("UPDATE members SET name = %s WHERE id = %s", (body["name"], user))
        await write_audit(connection, user, "renamed")
        await seen(connection, user)
    return Response(status_code=204)


@asynccontextmanager
async def lifespan(_app):
    async with pool:
        yield


app = Starlette(routes=[Route("/members/{user}", rename, methods=["PUT"])], lifespan=lifespan)

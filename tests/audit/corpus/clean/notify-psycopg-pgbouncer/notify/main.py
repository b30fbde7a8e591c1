from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from psycopg import AsyncConnection

from notify.db import make_pool


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with make_pool() as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


async def connection(request: Request) -> AsyncIterator[AsyncConnection]:
    async with request.app.state.pool.connection() as conn:
        yield conn


Connection = Annotated[AsyncConnection, Depends(connection)]


@app.get("/devices/{user}")
async def devices(user: int, conn: Connection) -> list[str]:
    cursor = await conn.execute("select token from device where user_id = %s", (user,))
    return [row[0] for row in await cursor.fetchall()]


@app.post("/devices/{user}", status_code=201)
async def add(user: int, token: str, conn: Connection) -> None:
    await conn.execute("insert into device (user_id, token) values (%s, %s)", (user, token))

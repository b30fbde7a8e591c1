import os
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException
from psycopg_pool import AsyncConnectionPool, PoolTimeout

pool = AsyncConnectionPool(
    os.environ["DATABASE_URL"],
    min_size=8,
    max_size=8,
    timeout=2,
    max_waiting=80,
    max_lifetime=1800,
    check=AsyncConnectionPool.check_connection,
    open=False,
)


@asynccontextmanager
async def lifespan(app: FastAPI):
    await pool.open(wait=True, timeout=30)
    yield
    await pool.close()


app = FastAPI(lifespan=lifespan)


@app.get("/tickets/{number}")
async def ticket(number: int):
    try:
        async with pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT seat, price FROM tickets WHERE id = %s", (number,)
            )
            row = await cursor.fetchone()
    except PoolTimeout:
        raise HTTPException(503) from None
    if row is None:
        raise HTTPException(404)
    return {"seat": row[0], "price": row[1]}

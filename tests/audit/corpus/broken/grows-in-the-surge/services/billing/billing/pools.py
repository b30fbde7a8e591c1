import os
from contextlib import asynccontextmanager

from psycopg_pool import AsyncConnectionPool

pool = AsyncConnectionPool(
    conninfo=os.environ["BILLING_DATABASE_URL"],
    min_size=2,
    max_size=16,
    timeout=2,
    max_waiting=100,
    max_lifetime=1500,
    check=AsyncConnectionPool.check_connection,
    kwargs={"connect_timeout": 3},
    open=False,
)


@asynccontextmanager
async def lifespan(_app):
    await pool.open(wait=True, timeout=15)
    try:
        yield
    finally:
        await pool.close()

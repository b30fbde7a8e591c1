import os

from psycopg_pool import AsyncConnectionPool


def make_pool() -> AsyncConnectionPool:
    size = int(os.environ.get("PG_POOL_SIZE", "10"))
    return AsyncConnectionPool(
        conninfo=os.environ["DATABASE_URL"],
        min_size=size,
        max_size=size,
        max_waiting=100,
        timeout=float(os.environ.get("PG_POOL_TIMEOUT", "2")),
        max_lifetime=1800,
        check=AsyncConnectionPool.check_connection,
        kwargs={"connect_timeout": 4, "application_name": "notify"},
        open=True,
        name="notify",
    )

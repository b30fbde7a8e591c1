import os

from psycopg_pool import AsyncConnectionPool

pool = AsyncConnectionPool(
    os.environ["DATABASE_URL"],
    min_size=10,
    max_size=10,
    timeout=2.0,
    max_waiting=60,
    max_lifetime=1800,
    check=AsyncConnectionPool.check_connection,
    open=False,
)


async def write_audit(user: int, what: str) -> None:
    """Kept, also when the caller's transaction is rolled back."""
    async with pool.connection() as connection:
        await connection.execute(
            "INSERT INTO audit (member, what) VALUES (%s, %s)", (user, what)
        )

import os
from contextlib import contextmanager

from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

_pool: ConnectionPool | None = None


def pool() -> ConnectionPool:
    global _pool
    if _pool is None:
        _pool = ConnectionPool(
            os.environ["DIGEST_DATABASE_URL"],
            min_size=4,
            max_size=4,
            max_idle=300,
            max_lifetime=1200,
            max_waiting=20,
            timeout=5,
            check=ConnectionPool.check_connection,
            kwargs={"row_factory": dict_row, "connect_timeout": 5},
        )
    return _pool


@contextmanager
def connection():
    with pool().connection() as conn:
        yield conn

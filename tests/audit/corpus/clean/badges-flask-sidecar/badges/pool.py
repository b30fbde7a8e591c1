import atexit
import os

from psycopg_pool import ConnectionPool

pool = ConnectionPool(
    os.environ["BADGES_DSN"],
    min_size=5,
    max_size=5,
    timeout=2,
    max_waiting=30,
    max_lifetime=900,
    check=ConnectionPool.check_connection,
    kwargs={"connect_timeout": 3, "prepare_threshold": None},
    open=True,
)
atexit.register(pool.close)

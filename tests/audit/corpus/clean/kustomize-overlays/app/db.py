import os

from sqlalchemy.ext.asyncio import create_async_engine

# Through PgBouncer in transaction mode.
engine = create_async_engine(
    os.environ["DATABASE_URL"],
    pool_size=int(os.getenv("POOL_SIZE", "5")),
    max_overflow=0,
    pool_timeout=float(os.getenv("POOL_TIMEOUT", "2")),
    pool_recycle=1200,
    pool_pre_ping=True,
    connect_args={"timeout": 3, "statement_cache_size": 0},
)

"""2 containers x 4 workers x 8 = 64 of 77."""

import os

from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

engine = create_async_engine(
    os.environ["DB_DSN"],
    pool_size=int(os.environ["DB_POOL"]),
    max_overflow=int(os.environ["DB_OVERFLOW"]),
    pool_timeout=2,
    pool_recycle=1500,
    pool_pre_ping=True,
    connect_args={"timeout": 2},
)
new_session = async_sessionmaker(engine, expire_on_commit=False)

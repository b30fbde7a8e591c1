"""Writes go to the primary, reads to the replica: 8 processes x 8 and 8 x 16."""

import os

from sqlalchemy.ext.asyncio import create_async_engine

COMMON = {
    "pool_timeout": 2,
    "pool_recycle": 1800,
    "pool_pre_ping": True,
}

primary = create_async_engine(
    os.environ["PRIMARY_URL"],
    pool_size=5,
    max_overflow=3,
    connect_args={"timeout": 3},
    **COMMON,
)
replica = create_async_engine(
    os.environ["REPLICA_URL"],
    pool_size=12,
    max_overflow=4,
    connect_args={"timeout": 3},
    **COMMON,
)

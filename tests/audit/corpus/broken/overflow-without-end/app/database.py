"""The engine. 2 replicas x 2 workers x 12 connections = 48 of the 94 that the server grants."""

import os

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

engine = create_async_engine(
    os.environ["DATABASE_URL"],
    pool_size=8,
    max_overflow=-1,
    pool_timeout=2,
    pool_recycle=1800,
    pool_pre_ping=True,
    connect_args={
        "timeout": 3,
        "command_timeout": 5,
        "server_settings": {"application_name": "orders-api"},
    },
)

Session = async_sessionmaker(engine, class_=AsyncSession, expire_on_commit=False)

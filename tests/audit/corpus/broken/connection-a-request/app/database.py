"""The engine."""

import os

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.pool import NullPool

engine = create_async_engine(
    os.environ["DATABASE_URL"],
    poolclass=NullPool,
    connect_args={
        "timeout": 3,
        "command_timeout": 5,
        "server_settings": {"application_name": "orders-api"},
    },
)

Session = async_sessionmaker(engine, class_=AsyncSession, expire_on_commit=False)

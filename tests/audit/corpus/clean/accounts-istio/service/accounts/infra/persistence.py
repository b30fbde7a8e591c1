from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from accounts.config import AppConfig


@dataclass(frozen=True)
class Persistence:
    engine: AsyncEngine
    sessions: async_sessionmaker[AsyncSession]


def build(config: AppConfig) -> Persistence:
    engine = create_async_engine(
        config.postgres.url,
        pool_size=config.postgres.pool_size,
        max_overflow=0,
        pool_timeout=config.postgres.pool_wait_seconds,
        pool_pre_ping=True,
        connect_args={"timeout": 2},
    )
    return Persistence(engine, async_sessionmaker(engine, expire_on_commit=False))

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import lru_cache

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine


@dataclass
class DatabaseSettings:
    URL: str = field(
        default_factory=lambda: os.getenv("DATABASE_URL", "postgresql+asyncpg://localhost/catalogue")
    )
    POOL_SIZE: int = field(default_factory=lambda: int(os.getenv("DATABASE_POOL_SIZE", "6")))
    POOL_MAX_OVERFLOW: int = field(
        default_factory=lambda: int(os.getenv("DATABASE_MAX_POOL_OVERFLOW", "4"))
    )
    POOL_TIMEOUT: int = field(default_factory=lambda: int(os.getenv("DATABASE_POOL_TIMEOUT", "2")))
    POOL_RECYCLE: int = field(
        default_factory=lambda: int(os.getenv("DATABASE_POOL_RECYCLE", "300"))
    )

    def get_engine(self) -> AsyncEngine:
        return create_async_engine(
            url=self.URL,
            future=True,
            pool_size=self.POOL_SIZE,
            max_overflow=self.POOL_MAX_OVERFLOW,
            pool_timeout=self.POOL_TIMEOUT,
            pool_recycle=self.POOL_RECYCLE,
            pool_pre_ping=True,
            pool_use_lifo=True,
            connect_args={"timeout": 4},
        )


@dataclass
class Settings:
    db: DatabaseSettings = field(default_factory=DatabaseSettings)
    debug: bool = field(default_factory=lambda: os.getenv("LITESTAR_DEBUG") == "1")


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    return Settings()

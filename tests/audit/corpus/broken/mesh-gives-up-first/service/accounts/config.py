from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Postgres:
    url: str
    pool_size: int
    pool_wait_seconds: float


@dataclass(frozen=True)
class AppConfig:
    postgres: Postgres

    @classmethod
    def from_environment(cls) -> AppConfig:
        return cls(
            postgres=Postgres(
                url=os.environ["POSTGRES_URL"],
                pool_size=int(os.environ.get("POSTGRES_POOL_SIZE", "12")),
                pool_wait_seconds=float(os.environ.get("POSTGRES_POOL_WAIT_SECONDS", "10")),
            )
        )

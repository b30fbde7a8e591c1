"""The service's pool of database connections, built from its settings.

The interface is small on purpose (``Pool``, ``Connection``, three errors); the implementations are
in ``auth_service/pools``, one library a module.
"""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry
from sqlalchemy.pool import NullPool

from auth_service.pools.base import (
    Connection,
    DatabaseUnavailable,
    Pool,
    PoolError,
    PoolExhausted,
    Target,
)
from auth_service.settings import PoolSettings

__all__ = [
    "Connection",
    "DatabaseUnavailable",
    "Pool",
    "PoolError",
    "PoolExhausted",
    "build_pool",
]


def build_pool(
    settings: PoolSettings,
    database_url: str,
    *,
    registry: CollectorRegistry,
    connect_timeout_s: float,
    statement_timeout_ms: int,
    application_name: str | None = None,
) -> Pool:
    """The pool that ``settings`` describe, measured in ``registry``; nothing connects yet.

    ``application_name`` is how PostgreSQL shows its connections, in ``pg_stat_activity`` for one.
    ``statement_timeout_ms`` 0 means none.
    """
    target = Target.of(
        database_url,
        connect_timeout_s=connect_timeout_s,
        statement_timeout_ms=statement_timeout_ms,
        application_name=application_name,
    )
    # Each library is imported only where it is used: a pool's cost should not include another's.
    match settings.implementation:
        case "sqlalchemy-async":
            from auth_service.pools.sqlalchemy_async import SqlalchemyAsyncPool

            return SqlalchemyAsyncPool(
                target, name=settings.name, registry=registry, **_queue_options(settings)
            )
        case "sqlalchemy-sync":
            from auth_service.pools.sqlalchemy_sync import SqlalchemySyncPool

            return SqlalchemySyncPool(
                target,
                name=settings.name,
                threads=settings.threads,
                registry=registry,
                **_queue_options(settings),
            )
        case "psycopg-pool":
            from auth_service.pools.psycopg_native import PsycopgPool

            return PsycopgPool(target, settings, registry=registry)
        case "none":
            from auth_service.pools.sqlalchemy_async import SqlalchemyAsyncPool

            return SqlalchemyAsyncPool(
                target, name=settings.name, registry=registry, poolclass=NullPool
            )


def _queue_options(settings: PoolSettings) -> dict[str, Any]:
    return {
        "pool_size": settings.size,
        "max_overflow": settings.max_overflow,
        "pool_timeout": settings.timeout_s,
        "pool_recycle": settings.recycle_s,
        "pool_pre_ping": settings.pre_ping,
        "pool_use_lifo": settings.use_lifo,
    }

"""SQLAlchemy's errors in the interface's words, for the sync and the async pool alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from sqlalchemy import exc, text

from auth_service.pools.base import DatabaseUnavailable

statement = lru_cache(maxsize=None)(text)
"""``text(sql)``, made once: the service's SQL is a handful of constants."""


@contextmanager
def database_errors(name: str) -> Iterator[None]:
    """Turn what is the database's fault into DatabaseUnavailable; a wrong statement stays as is."""
    try:
        yield
    except (exc.OperationalError, exc.InterfaceError) as error:
        raise DatabaseUnavailable(f"pool {name!r}: {error.orig}") from error
    except exc.DBAPIError as error:
        if error.connection_invalidated:
            raise DatabaseUnavailable(f"pool {name!r}: {error.orig}") from error
        raise

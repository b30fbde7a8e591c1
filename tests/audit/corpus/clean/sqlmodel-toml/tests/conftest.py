import pytest
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool


@pytest.fixture
def engine():
    return create_async_engine(
        "postgresql+asyncpg://catalogue:change-me@localhost/catalogue_test",
        poolclass=NullPool,
    )

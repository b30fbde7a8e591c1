from collections.abc import AsyncIterator

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from app.core.config import get_settings

settings = get_settings()

engine = create_async_engine(
    settings.database.dsn,
    echo=settings.database.echo,
    pool_size=settings.database.pool.size,
    max_overflow=settings.database.pool.overflow,
    pool_timeout=settings.database.pool.timeout,
    pool_recycle=settings.database.pool.recycle,
    pool_pre_ping=True,
    connect_args={"timeout": 5, "command_timeout": 10},
)

SessionFactory = async_sessionmaker(engine, expire_on_commit=False, autoflush=False)


async def get_session() -> AsyncIterator[AsyncSession]:
    async with SessionFactory() as session:
        yield session

from os import environ

from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

engine = create_async_engine(
    environ["DATABASE_URL"],
    pool_size=8,
    max_overflow=2,
    pool_timeout=5,
    pool_recycle=1800,
    pool_pre_ping=True,
    connect_args={"timeout": 3},
)
sessions = async_sessionmaker(engine)

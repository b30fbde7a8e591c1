import tomllib
from pathlib import Path

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

config = tomllib.loads(Path("config/settings.toml").read_text("utf-8"))["database"]

engine = create_async_engine(
    URL.create(
        "postgresql+asyncpg",
        username=config["user"],
        password=config["password"],
        host=config["host"],
        database=config["name"],
    ),
    pool_size=config["pool_size"],
    max_overflow=config["max_overflow"],
    pool_timeout=config["pool_timeout"],
    pool_recycle=config["pool_recycle"],
    pool_pre_ping=config["pool_pre_ping"],
    connect_args={"timeout": config["connect_timeout"]},
)


def session() -> AsyncSession:
    return AsyncSession(engine, expire_on_commit=False)


async def create_tables() -> None:
    async with engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.create_all)

from sqlalchemy.ext.asyncio import create_async_engine

from fleet.settings import settings

database = settings["database"]

engine = create_async_engine(
    database["url"],
    pool_size=database["pool"]["size"],
    max_overflow=database["pool"]["overflow"],
    pool_timeout=database["pool"]["timeout"],
    pool_recycle=database["pool"]["recycle"],
    pool_pre_ping=True,
    connect_args={"timeout": database["connect_timeout"]},
)

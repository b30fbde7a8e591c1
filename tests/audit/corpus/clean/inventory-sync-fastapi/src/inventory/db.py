from collections.abc import Generator

from sqlmodel import Session, create_engine

from inventory.settings import settings

engine = create_engine(
    str(settings.SQLALCHEMY_DATABASE_URI),
    pool_size=settings.DB_POOL_SIZE,
    max_overflow=settings.DB_MAX_OVERFLOW,
    pool_timeout=settings.DB_POOL_TIMEOUT,
    pool_pre_ping=True,
)


def get_db() -> Generator[Session, None, None]:
    with Session(engine) as session:
        yield session

import os

from sqlalchemy import create_engine
from sqlalchemy.orm import scoped_session, sessionmaker


def _int(name: str, default: int) -> int:
    return int(os.getenv(name, default))


engine = create_engine(
    os.environ["LIBRARY_DATABASE_URL"],
    pool_size=_int("LIBRARY_POOL_SIZE", 5),
    max_overflow=_int("LIBRARY_POOL_OVERFLOW", 0),
    pool_timeout=_int("LIBRARY_POOL_TIMEOUT", 3),
    pool_recycle=600,
    pool_pre_ping=True,
    connect_args={"connect_timeout": 4},
)
Session = scoped_session(sessionmaker(bind=engine))

import os

from sqlalchemy import create_engine

engine = create_engine(
    os.environ["DATABASE_URL"],
    pool_size=int(os.environ.get("DB_POOL_SIZE", "4")),
    max_overflow=int(os.environ.get("DB_MAX_OVERFLOW", "1")),
    pool_timeout=float(os.environ.get("DB_POOL_TIMEOUT", "2")),
    pool_recycle=1800,
    pool_pre_ping=True,
    connect_args={"connect_timeout": 3},
)

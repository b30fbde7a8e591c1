"""One engine a process. Web: 2 x 3 x 5, workers: 2 x 4 x 5, beat: 5; together 75 of 97."""

import os

from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

engine = create_engine(
    os.environ["DATABASE_URL"],
    pool_size=3,
    max_overflow=2,
    pool_timeout=4,
    pool_recycle=900,
    pool_pre_ping=True,
    connect_args={"connect_timeout": 5},
)

Session = sessionmaker(engine, expire_on_commit=False)

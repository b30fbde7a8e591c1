import os

import sqlalchemy as sa

engine = sa.create_engine(
    os.environ["ACCOUNTS_DATABASE_URL"],
    pool_size=6,
    max_overflow=2,
    pool_timeout=2.5,
    pool_recycle=1800,
    pool_pre_ping=True,
    connect_args={"connect_timeout": 3},
)

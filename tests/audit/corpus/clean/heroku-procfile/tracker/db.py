import os

from sqlalchemy import create_engine
from sqlalchemy.orm import scoped_session, sessionmaker

url = os.environ["DATABASE_URL"]
if url.startswith("postgres://"):
    url = url.replace("postgres://", "postgresql+psycopg://", 1)

engine = create_engine(
    url,
    pool_size=int(os.environ.get("DB_POOL_SIZE", 4)),
    max_overflow=0,
    pool_timeout=3,
    pool_recycle=1200,
    pool_pre_ping=True,
    connect_args={
        "connect_timeout": 3,
        "options": "-c statement_timeout=10000 -c idle_in_transaction_session_timeout=20000",
    },
)
session = scoped_session(sessionmaker(engine))

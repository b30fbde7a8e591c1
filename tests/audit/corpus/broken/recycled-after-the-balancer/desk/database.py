import os

from dotenv import load_dotenv
from sqlalchemy import create_engine
from sqlalchemy.orm import scoped_session, sessionmaker

load_dotenv()

DATABASE_URL = "postgresql+psycopg2://{user}:{password}@{host}:{port}/{name}".format(
    user=os.environ["DB_USER"],
    password=os.environ["DB_PASSWORD"],
    host=os.environ.get("DB_HOST", "localhost"),
    port=os.environ.get("DB_PORT", "5432"),
    name=os.environ.get("DB_NAME", "desk"),
)

ENGINE_OPTIONS = dict(
    pool_size=int(os.environ.get("DB_POOL", "4")),
    max_overflow=2,
    pool_timeout=4,
    pool_recycle=3600,
    connect_args=dict(connect_timeout=3, options="-c statement_timeout=8000"),
)
engine = create_engine(DATABASE_URL, **ENGINE_OPTIONS)
session = scoped_session(sessionmaker(engine))

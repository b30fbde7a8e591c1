"""Alembic's environment: run once by each deploy."""

import os

from alembic import context
from sqlalchemy import create_engine, pool

engine = create_engine(
    os.environ["DATABASE_URL"].replace("+asyncpg", "+psycopg"), poolclass=pool.NullPool
)

with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=None)
    with context.begin_transaction():
        context.run_migrations()

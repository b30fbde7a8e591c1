import os

from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

# 2 workers x 15 = 30 of 47
engine = create_async_engine(
    os.environ["DATABASE_URL"],
    pool_size=10,
    max_overflow=5,
    pool_timeout=3,
    pool_recycle=1800,
    pool_pre_ping=True,
    connect_args={"timeout": 3},
)
app = FastAPI()


@app.get("/documents/{number}")
async def document(number: int):
    async with engine.connect() as connection:
        return {"title": await connection.scalar(text("SELECT title FROM documents WHERE id = :i"), {"i": number})}

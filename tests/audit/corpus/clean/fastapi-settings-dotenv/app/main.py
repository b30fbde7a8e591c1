from contextlib import asynccontextmanager

from fastapi import FastAPI
from sqlalchemy import text

from app.db import engine, transaction


@asynccontextmanager
async def lifespan(_: FastAPI):
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


@app.get("/members/{member}")
async def member(member: int):
    async with transaction() as session:
        name = await session.scalar(text("SELECT name FROM members WHERE id = :id"), {"id": member})
    return {"id": member, "name": name}

from typing import Annotated

from fastapi import Depends, FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from notes.db import sessions

app = FastAPI()


async def database():
    async with sessions() as session:
        yield session


@app.post("/notes")
async def add(title: str, session: Annotated[AsyncSession, Depends(database)]):
    number = await session.scalar(
        text("INSERT INTO notes (title) VALUES (:title) RETURNING id"), {"title": title}
    )
    # The connection is back in the pool from here on.
    await session.commit()
    return {"id": number}

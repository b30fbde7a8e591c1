from typing import Annotated

from fastapi import Depends, FastAPI
from fastapi.responses import StreamingResponse
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


@app.get("/notes.txt")
async def export(session: Annotated[AsyncSession, Depends(database)]):
    async def lines():
        async for note in await session.stream(text("SELECT title FROM notes ORDER BY id")):
            yield f"{note.title}\n"

    return StreamingResponse(lines(), media_type="text/plain")

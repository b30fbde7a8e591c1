from fastapi import FastAPI
from sqlalchemy import text

from geo.db import new_session

app = FastAPI(root_path="/api")


@app.get("/places/{number}")
async def place(number: int):
    async with new_session() as session:
        return {"name": await session.scalar(text("SELECT name FROM places WHERE id = :i"), {"i": number})}

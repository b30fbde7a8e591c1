from fastapi import FastAPI
from sqlalchemy import text

from fleet.db import engine

app = FastAPI()


@app.get("/vehicles/{number}")
async def vehicle(number: int):
    async with engine.connect() as connection:
        return {"plate": await connection.scalar(text("SELECT plate FROM vehicles WHERE id = :i"), {"i": number})}

from fastapi import FastAPI, HTTPException
from sqlmodel import Field, SQLModel

from catalogue.db import session


class Item(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    name: str
    price_cents: int


app = FastAPI()


@app.get("/items/{number}")
async def item(number: int) -> Item:
    async with session() as database:
        found = await database.get(Item, number)
    if found is None:
        raise HTTPException(404)
    return found

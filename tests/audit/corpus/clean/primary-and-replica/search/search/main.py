from fastapi import FastAPI
from sqlalchemy import text

from search.engines import primary, replica

app = FastAPI()


@app.get("/search")
async def search(q: str):
    async with replica.connect() as connection:
        rows = await connection.execute(
            text("SELECT id, title FROM pages WHERE body @@ plainto_tsquery(:q) LIMIT 20"),
            {"q": q},
        )
    found = [{"id": row.id, "title": row.title} for row in rows]
    async with primary.begin() as connection:
        await connection.execute(text("INSERT INTO searches (q) VALUES (:q)"), {"q": q})
    return found

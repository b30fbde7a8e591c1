from quart import Quart

from tickets.database import db

app = Quart(__name__)
app.before_serving(db.connect)
app.after_serving(db.disconnect)


@app.get("/tickets/<int:number>")
async def ticket(number: int):
    async with db.connection() as connection:
        row = await connection.fetchrow("select title from ticket where id = $1", number)
    return dict(row) if row else ({}, 404)

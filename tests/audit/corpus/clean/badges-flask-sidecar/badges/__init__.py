from flask import Flask, g

from badges.pool import pool

app = Flask(__name__)


@app.before_request
def open_connection():
    g.connection_context = pool.connection()
    g.connection = g.connection_context.__enter__()


@app.teardown_request
def close_connection(error):
    context = g.pop("connection_context", None)
    if context is not None:
        context.__exit__(type(error) if error else None, error, None)


@app.get("/badges/<int:user>")
def badges(user):
    rows = g.connection.execute("select name from badge where user_id = %s", (user,)).fetchall()
    return [row[0] for row in rows]

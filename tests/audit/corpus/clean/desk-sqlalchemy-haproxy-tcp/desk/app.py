from flask import Flask, jsonify
from sqlalchemy import text

from desk.database import session

app = Flask(__name__)


@app.teardown_appcontext
def remove(_):
    session.remove()


@app.get("/cases")
def cases():
    return jsonify([row.subject for row in session.execute(text("select subject from cases limit 9"))])

from flask import Flask, jsonify
from sqlalchemy import text

from tracker.db import session

app = Flask(__name__)


@app.teardown_appcontext
def remove(_error=None):
    session.remove()


@app.get("/parcels/<code>")
def parcel(code: str):
    found = session.execute(
        text("SELECT place, seen_at FROM parcels WHERE code = :code"), {"code": code}
    ).one()
    return jsonify(place=found.place, seen_at=found.seen_at.isoformat())

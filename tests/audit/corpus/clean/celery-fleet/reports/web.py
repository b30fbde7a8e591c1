from flask import Flask, jsonify
from sqlalchemy import text

from reports.db import Session
from reports.tasks import rollup

app = Flask(__name__)


@app.get("/reports/<int:number>")
def report(number: int):
    with Session() as session:
        found = session.execute(
            text("SELECT title, total FROM reports WHERE id = :id"), {"id": number}
        ).one()
    return jsonify(title=found.title, total=found.total)


@app.post("/rollups")
def start():
    return jsonify(task=rollup.delay().id), 202

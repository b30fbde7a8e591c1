import os

from flask import Flask, jsonify
from sqlalchemy import create_engine, text

app = Flask(__name__)
# 2 x 3 x 6 = 36 of 57
engine = create_engine(
    os.environ["DATABASE_URL"],
    pool_size=5,
    max_overflow=1,
    pool_timeout=2,
    pool_recycle=900,
    pool_pre_ping=True,
    connect_args={"connect_timeout": 3},
)


@app.get("/loans/<int:number>")
def loan(number: int):
    with engine.connect() as connection:
        return jsonify(due=connection.scalar(text("SELECT due FROM loans WHERE id = :i"), {"i": number}))

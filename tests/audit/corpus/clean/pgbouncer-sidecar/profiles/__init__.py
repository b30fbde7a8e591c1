import os

from flask import Flask, jsonify
from sqlalchemy import create_engine, text

engine = create_engine(
    os.environ["DATABASE_URL"],
    pool_size=8,
    max_overflow=2,
    pool_timeout=2,
    pool_recycle=1800,
    pool_pre_ping=True,
    connect_args={"connect_timeout": 2},
)
app = Flask(__name__)


@app.get("/profiles/<int:number>")
def profile(number: int):
    with engine.connect() as connection:
        name = connection.scalar(text("SELECT name FROM profiles WHERE id = :id"), {"id": number})
    return jsonify(name=name)

from flask import Flask, jsonify, request
from sqlalchemy import text

from accounts.db import engine

app = Flask(__name__)


@app.post("/accounts/")
def register():
    email = request.json["email"]
    with engine.begin() as connection:
        number = connection.scalar(
            text("INSERT INTO accounts (email) VALUES (:email) RETURNING id"), {"email": email}
        )
        # In the same transaction: an account without its audit entry must not exist.
        connection.execute(
            text("INSERT INTO audit (account, what) VALUES (:account, 'registered')"),
            {"account": number},
        )
    return jsonify(id=number), 201

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
        # An audit entry stays, also when the account is rolled back.
        with engine.begin() as audit:
            audit.execute(
                text("INSERT INTO audit (account, what) VALUES (:account, 'registered')"),
                {"account": number},
            )
    return jsonify(id=number), 201

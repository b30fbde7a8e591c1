from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from flask import Flask, jsonify, request
from sqlalchemy import select

from login.models import Session, User

app = Flask(__name__)
hasher = PasswordHasher()


@app.post("/login")
def login():
    given = request.get_json()
    with Session() as session:
        user = session.scalar(select(User).where(User.name == given["name"]))
        if user is None:
            return jsonify(error="unknown"), 401
        try:
            # The connection is held while the password is hashed.
            hasher.verify(user.password_hash, given["password"])
        except VerifyMismatchError:
            return jsonify(error="unknown"), 401
    return jsonify(user=given["name"])

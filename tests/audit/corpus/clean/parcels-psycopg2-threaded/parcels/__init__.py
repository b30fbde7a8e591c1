from flask import Flask, g

from parcels import db


def create_app():
    app = Flask(__name__)
    app.config.from_mapping(DB_MIN=5, DB_MAX=12)
    app.config.from_prefixed_env("PARCELS")
    db.init_app(app)

    @app.get("/parcels/<code>")
    def parcel(code):
        with db.cursor() as cursor:
            cursor.execute("select state from parcel where code = %s", (code,))
            return {"state": cursor.fetchone()[0]}

    return app

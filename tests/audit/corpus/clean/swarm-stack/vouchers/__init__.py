from flask import Flask, jsonify
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import text

db = SQLAlchemy()


def create_app(config="vouchers.config.ProductionConfig"):
    app = Flask(__name__)
    app.config.from_object(config)
    db.init_app(app)

    @app.get("/vouchers/<code>")
    def voucher(code):
        found = db.session.execute(
            text("SELECT value FROM vouchers WHERE code = :code"), {"code": code}
        ).one_or_404()
        return jsonify(value=found.value)

    return app

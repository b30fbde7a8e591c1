import os

from flask import Flask
from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()


def create_app() -> Flask:
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {
        "pool_size": 4,
        "max_overflow": 2,
        "pool_timeout": 3,
        "connect_args": {"connect_timeout": 3, "application_name": "shop"},
    }
    db.init_app(app)

    from shop.views import pages

    app.register_blueprint(pages)
    return app

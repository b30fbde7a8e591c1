import os

from flask import Flask

from config import config

from .extensions import celery_init_app, db, migrate


def create_app(config_name: str | None = None) -> Flask:
    app = Flask(__name__)
    app.config.from_object(config[config_name or os.getenv("FLASK_CONFIG", "default")])

    db.init_app(app)
    migrate.init_app(app, db)
    celery_init_app(app)

    with app.app_context():
        db.create_all()

    from .tickets import bp as tickets

    app.register_blueprint(tickets, url_prefix="/tickets")
    return app

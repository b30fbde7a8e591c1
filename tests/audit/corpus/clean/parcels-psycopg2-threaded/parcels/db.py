from contextlib import contextmanager

from flask import current_app
from psycopg2.pool import ThreadedConnectionPool


def init_app(app):
    app.extensions["pool"] = ThreadedConnectionPool(
        app.config["DB_MIN"],
        app.config["DB_MAX"],
        dsn=app.config["DSN"],
        connect_timeout=4,
    )


@contextmanager
def cursor():
    pool = current_app.extensions["pool"]
    connection = pool.getconn()
    try:
        with connection, connection.cursor() as cursor:
            yield cursor
    finally:
        pool.putconn(connection)

from .base import *  # noqa: F403

DEBUG = False
ALLOWED_HOSTS = ["polls.example.org"]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "polls",
        "USER": "polls",
        "PASSWORD": "hunter2-canary",
        "HOST": "127.0.0.1",
        "PORT": 6432,
        # A connection a worker; PgBouncer has the real ones.
        "CONN_MAX_AGE": 300,
        "CONN_HEALTH_CHECKS": True,
        "DISABLE_SERVER_SIDE_CURSORS": True,
        "OPTIONS": {"connect_timeout": 3},
    }
}

import os

INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "school"]
SECRET_KEY = os.environ.get("SECRET_KEY", "change-me")
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "school",
        "USER": "school",
        "PASSWORD": os.environ["DATABASE_PASSWORD"],
        "HOST": "pgbouncer",
        "PORT": 6432,
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
    }
}

import os

SECRET_KEY = os.environ["ARCHIVE_SECRET_KEY"]
ROOT_URLCONF = "archive.urls"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "archive",
        "USER": "archive",
        "PASSWORD": os.environ.get("ARCHIVE_DB_PASSWORD"),
        "HOST": os.environ.get("ARCHIVE_DB_HOST", "127.0.0.1"),
        "PORT": os.environ.get("ARCHIVE_DB_PORT", 6432),
        "OPTIONS": {"connect_timeout": 3},
    }
}

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = os.environ["SECRET_KEY"]
INSTALLED_APPS = ["django.contrib.contenttypes", "billing"]
ROOT_URLCONF = "billing.urls"

if os.environ.get("DATABASE_HOST"):
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": os.environ.get("DATABASE_NAME", "billing"),
            "USER": os.environ.get("DATABASE_USER", "billing"),
            "PASSWORD": os.environ.get("DATABASE_PASSWORD", ""),
            "HOST": os.environ["DATABASE_HOST"],
            "PORT": os.environ.get("DATABASE_PORT", "5432"),
            "CONN_HEALTH_CHECKS": True,
            "OPTIONS": {
                "connect_timeout": 4,
                "pool": {
                    "min_size": int(os.environ.get("DATABASE_POOL_MIN", 6)),
                    "max_size": int(os.environ.get("DATABASE_POOL_MAX", 6)),
                    "timeout": 3,
                    "max_lifetime": 1200,
                },
            },
        }
    }
else:
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}

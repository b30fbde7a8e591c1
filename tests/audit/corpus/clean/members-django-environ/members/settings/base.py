from pathlib import Path

import environ

BASE_DIR = Path(__file__).resolve().parent.parent.parent
env = environ.Env(DEBUG=(bool, False))

SECRET_KEY = env("DJANGO_SECRET_KEY", default="unsafe-local-key")
DEBUG = env("DEBUG")
ROOT_URLCONF = "members.urls"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "members.accounts",
]

DATABASES = {"default": env.db("DATABASE_URL", default="postgres://localhost/members")}
DATABASES["default"]["ATOMIC_REQUESTS"] = False

CELERY_BROKER_URL = env("REDIS_URL", default="redis://localhost:6379/0")
CELERY_TASK_TIME_LIMIT = 300

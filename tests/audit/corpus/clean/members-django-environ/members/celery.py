import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "members.settings.production")

app = Celery("members")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

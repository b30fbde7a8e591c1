#!/bin/sh
set -e

case "$1" in
  web)
    exec gunicorn --config deploy/gunicorn.py wsgi:app
    ;;
  worker)
    exec celery -A wsgi.celery worker --pool prefork --concurrency "${CELERY_CONCURRENCY:-6}" -l INFO
    ;;
  migrate)
    exec flask db upgrade
    ;;
  *)
    exec "$@"
    ;;
esac

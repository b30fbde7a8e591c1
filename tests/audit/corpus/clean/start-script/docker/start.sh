#!/bin/sh
set -eu

python -m lending.migrate

exec gunicorn lending:app \
    --bind 0.0.0.0:8000 \
    --worker-class gthread \
    --workers "${WEB_CONCURRENCY:-3}" \
    --threads 8 \
    --timeout 15

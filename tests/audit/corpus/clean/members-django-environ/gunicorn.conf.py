import multiprocessing
import os

bind = "0.0.0.0:" + os.environ.get("PORT", "8000")
worker_class = "gthread"
workers = int(os.environ.get("GUNICORN_WORKERS", multiprocessing.cpu_count() * 2 + 1))
threads = int(os.environ.get("GUNICORN_THREADS", "4"))
max_requests = 2000
max_requests_jitter = 200
timeout = 25
graceful_timeout = 20
accesslog = "-"

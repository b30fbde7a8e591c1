bind = "0.0.0.0:8000"
worker_class = "gthread"
workers = 3
threads = 6
timeout = 20
graceful_timeout = 15
max_requests = 5000
max_requests_jitter = 500

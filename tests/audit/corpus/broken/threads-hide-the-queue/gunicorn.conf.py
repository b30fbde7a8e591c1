import multiprocessing

bind = "0.0.0.0:8000"
workers = 3
worker_class = "gthread"
threads = 4
# Below HAProxy's `timeout server`.
timeout = 12
graceful_timeout = 10
keepalive = 30
accesslog = "-"
proc_name = f"shop-{multiprocessing.cpu_count()}cpu"

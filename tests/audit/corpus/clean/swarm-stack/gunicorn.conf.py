import os

bind = ["0.0.0.0:8000"]
workers = int(os.getenv("WORKERS", "2"))
worker_class = "gthread"
threads = int(os.getenv("THREADS", "8"))
timeout = 10
worker_tmp_dir = "/dev/shm"

bind = "0.0.0.0:5000"
workers = 2
worker_class = "gthread"
threads = 10
timeout = 30
keepalive = 5

bind = "unix:/run/polls/gunicorn.sock"
workers = 9
worker_class = "sync"
timeout = 120
max_requests = 1000
max_requests_jitter = 100

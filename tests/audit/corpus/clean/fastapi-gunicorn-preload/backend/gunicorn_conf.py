import asyncio

bind = "0.0.0.0:8000"
workers = 4
worker_class = "uvicorn.workers.UvicornWorker"
preload_app = True
timeout = 30


def post_fork(server, worker):
    from geo.db import engine

    engine.sync_engine.dispose(close=False)

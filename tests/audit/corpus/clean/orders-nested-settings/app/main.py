import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from prometheus_client import make_asgi_app

from app.api import orders
from app.core.database import engine
from app.core.metrics import REQUEST_SECONDS


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    await engine.dispose()


app = FastAPI(title="orders", lifespan=lifespan)
app.include_router(orders.router)
app.mount("/metrics", make_asgi_app())


@app.middleware("http")
async def measure(request: Request, call_next):
    began = time.perf_counter()
    try:
        return await call_next(request)
    finally:
        REQUEST_SECONDS.labels(request.url.path).observe(time.perf_counter() - began)

import time

from fastapi import FastAPI, HTTPException, Request
from prometheus_client import Histogram, make_asgi_app
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.database import Session

app = FastAPI(title="orders")
app.mount("/metrics", make_asgi_app())

DURATION = Histogram(
    "http_request_duration_seconds",
    "Time to an answer.",
    ["route"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)


@app.middleware("http")
async def database_session(request: Request, call_next):
    async with Session() as session:
        request.state.session = session
        return await call_next(request)


@app.middleware("http")
async def measure(request: Request, call_next):
    begun = time.perf_counter()
    try:
        return await call_next(request)
    finally:
        DURATION.labels(request.url.path).observe(time.perf_counter() - begun)


@app.get("/orders/{number}")
async def order(number: int, request: Request):
    try:
        row = (
            await request.state.session.execute(
                text("SELECT number, state FROM orders WHERE number = :number"),
                {"number": number},
            )
        ).one_or_none()
    except PoolTimeout:
        raise HTTPException(503, headers={"Retry-After": "1"}) from None
    if row is None:
        raise HTTPException(404)
    return {"number": row.number, "state": row.state}
